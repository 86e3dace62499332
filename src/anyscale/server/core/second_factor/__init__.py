"""Second factors: passkeys, one-time codes and recovery codes.

Signing in uses this subject, and it knows nothing of passwords, sessions and SSO.
"""
