"""Signing in with an OpenID Connect provider: its requests, ID tokens, and identities of accounts.

The table `identities`. The routes under `/sso` use `SsoLogin`, which never creates an account.
"""
