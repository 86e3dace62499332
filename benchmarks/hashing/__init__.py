"""Passwords hashed a second: in a batch, by the number of cores, and on a Ray cluster."""
