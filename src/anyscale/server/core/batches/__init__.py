"""Batches: reserve emails, hash passwords, publish; or drop. docs/batch-protocol.md explains it.

The tables `batches`, `chunks` and `conflicts`, and the rows of `users` that are not published. The
HTTP layer and the embedded transport call `BatchService`; `accounts.owners` calls `create_small`.
"""
