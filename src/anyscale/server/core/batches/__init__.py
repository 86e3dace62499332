"""Batches: reserve emails, hash passwords, publish; or drop. docs/batch-protocol.md explains it.

The tables `batches`, `pages`, `conflicts`, and the rows of `users` that are not published. The HTTP
API and the embedded transport call `BatchService`; `users.owners` creates accounts of owners with
`create_small`.
"""
