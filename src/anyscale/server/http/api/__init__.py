"""The calls of tokens, under `/v1`: policy, users, batches, applications and the audit log.

Each names the permission that its caller needs. The command line and the SDK call them by
`transport.http`.
"""
