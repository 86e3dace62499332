"""The control plane over HTTP: thin, one module a kind of call."""
