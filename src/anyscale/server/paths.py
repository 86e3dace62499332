"""The paths that others learn: users by a one-time link, the identity provider by its settings."""

__all__ = ["LINK_PAGE", "SSO_CALLBACK"]

#: the page that sets a password by a one-time link
LINK_PAGE = "/set-password"

#: to which the identity provider redirects browsers
SSO_CALLBACK = "/sso/callback"
