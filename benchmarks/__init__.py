"""Benchmarks. Each result is a ratio to a bound that the same run measures.

Absolute times depend on the machine and its load, so each ratio is a median of interleaved pairs.
"""
