"""Lists and searches of accounts, page by page, and the index of words that searches use.

`listing.py` is the door: it serves `GET /v1/users`. The server fills the index in the background
(`index.py`).
"""
