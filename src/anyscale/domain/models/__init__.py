"""The records that callers of the SDK see. `anyscale.user.models` is their public module.

The modules import nothing but msgspec, so that importing the models is cheap.
"""
