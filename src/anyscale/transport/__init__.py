"""How a call leaves the process, or does not."""
