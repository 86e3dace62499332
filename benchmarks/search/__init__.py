"""The search and the list of users among many accounts, and the index of words behind them."""
