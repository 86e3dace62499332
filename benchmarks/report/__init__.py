"""The report docs/benchmarks.md: its machine, its stored results, its page and its plots.

`plots.py` runs by the Python of `.venv/bench`, where matplotlib is.
"""
