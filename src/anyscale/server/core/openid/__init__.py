"""The OpenID provider: applications of others sign our users in (OpenID Connect Core 1.0).

The tables `applications`, `grants` and `public_keys`. The routes under `/oauth2` use the services;
the wire formats are in `http/openid`.
"""
