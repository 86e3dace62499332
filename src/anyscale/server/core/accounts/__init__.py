"""Accounts: look-ups, corrections, suspend and restore, delete, roles, owners, password links.

The published rows of `users`, and the table `links`. The HTTP API, the embedded transport and the
operator's commands use the services.
"""
