"""API tokens of administrators, and personal tokens of users.

The table `tokens`. The HTTP API authenticates with `TokenService`; the pages and the
operator's commands create, list and revoke tokens with it.
"""
