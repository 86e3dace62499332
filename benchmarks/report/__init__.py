"""The report docs/benchmarks.md: what it measures besides the other benchmarks, its page and plots.

`plots.py` runs by the Python of `.venv/bench`, where matplotlib is.
"""
