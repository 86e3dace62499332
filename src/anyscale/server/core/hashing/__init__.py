"""Hashing passwords with Argon2id, and verifying them, in threads or in worker processes.

`PasswordHashPool` is used by batches, which hash passwords, and by `login`, which verifies them.
`schemes` verifies hashes that other systems have made.
"""
