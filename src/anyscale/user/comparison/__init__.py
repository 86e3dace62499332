"""Compare the users of a source with their accounts, and decide what to do about it.

`sync_planner` decides what a sync does, without a call of the control plane. The command and the
SDK use the package.
"""
