"""The database of a control plane: the only package with SQL.

`transaction.Transaction` states the rules, and composes the subjects of `sql`, which has what both
databases have in common; `sqlite` and `postgres` have the rest. Only `core` runs transactions;
`control_plane` opens a store, and `check` looks at a database by `inspection`. `http` asks a
store whether it is ready, and for its schema, and knows the records that `core` returns.
"""
