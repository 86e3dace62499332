"""Second factors: passkeys, one-time codes, recovery codes, and the keys that encrypt seeds.

The tables `factors`, `recovery_codes`, `used_challenges` and `factor_states`. Signing in uses this
subject, and it knows nothing of passwords, sessions and SSO.
"""
