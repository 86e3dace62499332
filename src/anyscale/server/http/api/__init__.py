"""The calls of owners: `/v1/policy`, `/v1/users...`, `/v1/batches...` and `/v1/audit`.

All of them require the token of an owner. The command line and the SDK call them by
`transport.http`.
"""
