"""The statements that are the same for both databases, one class a subject of `Transaction`.

All tables of a control plane. The classes run on a `Connection`; that of each database translates
placeholders and the few words that differ, once for each statement.
"""
