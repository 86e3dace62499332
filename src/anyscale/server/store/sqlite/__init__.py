"""A store in one SQLite file: connections, migration, and the statements that only SQLite has.

All tables of a control plane. It is the store of an embedded control plane, and the default of a
server.
"""
