"""The paths that more than one package needs: of one-time links, and of signing in."""

__all__ = ["KEEP_FORM", "LINK_PAGE", "SIGN_IN_AGAIN", "SSO_CALLBACK"]

#: the page that sets a password by a one-time link
LINK_PAGE = "/set-password"

#: to which a browser sends a form again for which its user has to sign in first
KEEP_FORM = "/sign-in/form"

#: the page on which an owner signs in again, before what cannot be undone
SIGN_IN_AGAIN = "/console/sign-in-again"

#: to which the identity provider redirects browsers
SSO_CALLBACK = "/sso/callback"
