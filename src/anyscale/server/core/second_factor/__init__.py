"""Second factors: the list of a user, one-time codes, recovery codes, and the keys of seeds.

The tables `factors`, `recovery_codes` and `factor_states`. `passkeys` adds factors, and signing in
uses both. This subject knows nothing of passwords, sessions and SSO.
"""
