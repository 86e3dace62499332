"""What client and server share: models, rules of users and emails, wire types, the audit chain.

Both sides use the same code, so that a file is checked by the rules that the server applies. This
package imports nothing of the client and nothing of the server; `anyscale.errors`, which is public,
is beside it. `models/` has what callers see, `schemas/` the bodies of requests and responses.
"""
