"""The paths that more than one package needs: of one-time links, and of single sign-on."""

__all__ = ["LINK_PAGE", "SIGN_IN_AGAIN", "SSO_CALLBACK"]

#: the page that sets a password by a one-time link
LINK_PAGE = "/set-password"

#: the page on which an owner signs in again, before what cannot be undone
SIGN_IN_AGAIN = "/console/sign-in-again"

#: to which the identity provider redirects browsers
SSO_CALLBACK = "/sso/callback"
