"""Signing in by password, changing and setting passwords, links, sessions, and rate limits.

The tables `sessions`, `devices` and `links`, and the password columns of `users`. The pages and the
JSON API use it; `sso` creates its sessions here.
"""
