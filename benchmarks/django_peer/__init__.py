"""The same users in the same table by Django's `bulk_create`, to compare with.

`run.py` starts `__main__.py` by the Python of `.venv/bench`, where Django is.
"""
