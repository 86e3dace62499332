"""The numbered steps of the schema, in SQL for each database.

A released step is never edited. `schema_versions` reads the files, and the `migrate` module
of each store runs a step in one transaction.
"""
