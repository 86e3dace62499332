"""A store in PostgreSQL: connections, errors, migration, and the statements that only it has.

All tables of a control plane. It is the store of a server that shares its database with other ones.
"""
