"""Verifying the hashes that other systems have made: what `domain.password_hashes` has parsed.

`tags.py` computes the tags of all schemes; `verified.py` names the schemes, and imports less.
"""
