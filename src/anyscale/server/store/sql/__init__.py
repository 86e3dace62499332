"""The statements that are the same for every database.

One class for each subject of `interface.Transaction`, over a `Connection`. Placeholders and the few
words that differ are translated by the driver of the database, once for each statement.
"""
