"""Passkeys (WebAuthn): adding them, and checking those that users show.

The passkeys in the table `factors`, and the table `used_challenges`. A passkey is a second factor
of `second_factor`; `login` signs in by it.
"""
