"""The calls of a control plane over HTTP: a module for each subject, and one for its client.

`transport.py` has all of them. `retrying_client.py` makes each request, and repeats it until there
is a response; the other modules are parts of it.
"""
