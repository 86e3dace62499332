"""The wire formats of the OpenID provider: parameters, JSON errors, redirects, headers.

It owns `/.well-known/openid-configuration` and `/oauth2`, which applications and browsers use. The
rules are in `core/openid`.
"""
