"""Accounts: look-ups, corrections, suspend and restore, delete, roles, owners.

The published rows of `users`. The HTTP layer, the embedded transport and the operator's commands
use the services.
"""
