"""The SQL of listings and searches: accounts block by block, and the index of words.

The tables `user_words` and `search_index` belong to this package; `users` and `batches` are only
read. `core.search` calls it through the transaction, and `sql.accounts` when texts of an account
change.
"""
