"""The records that a store reads and writes, by subject. Times are whole milliseconds, UTC.

The store builds them from rows, and `core` works with them.
"""
