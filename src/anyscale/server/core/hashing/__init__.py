"""Hashing and verifying passwords with Argon2id, in threads or in worker processes.

`PasswordHashPool` is used by batches, which hash passwords, and by `login`, which verifies them.
"""
