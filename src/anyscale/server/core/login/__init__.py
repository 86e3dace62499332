"""Signing in by password or passkey, passwords, links, sessions, and rate limits.

The tables `sessions`, `devices` and `links`, and the password columns of `users`. `SignInGate`
completes every sign-in, also by `sso`, and may ask for a second factor, which `second_factor`
checks. The pages and the JSON API use it.
"""
