"""How long one waits: for a command to start, to sign in, and beside a batch or many sign-ins."""
