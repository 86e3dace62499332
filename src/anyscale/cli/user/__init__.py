"""`anyscale user`: create accounts from a file, list and get them, and change them."""
