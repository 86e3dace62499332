"""The bodies of the requests and responses of `/v1`, besides the models themselves, by subject.

The HTTP transport encodes them, and the routes of the server decode them.
"""
