"""Signing in by password, changing and setting passwords, sessions, and rate limits.

The tables `sessions` and `devices`, and the password columns of `users`. The sign-in pages, the
account pages and the JSON API use it; `sso` creates its sessions here.
"""
