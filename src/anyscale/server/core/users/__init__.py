"""Accounts: look-ups, suspend and restore, delete, roles, owners, and links to set a password.

The published rows of `users`, and the table `links`. The HTTP API, the embedded transport and the
operator's commands use the services.
"""
