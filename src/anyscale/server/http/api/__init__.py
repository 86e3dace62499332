"""The calls of owners, under `/v1`: policy, users, batches, applications and the audit log.

All of them require the token of an owner. The command line and the SDK call them by
`transport.http`.
"""
