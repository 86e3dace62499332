"""`anyscale server check`: look at an installation, and create and change nothing.

A module has the checks of one subject: functions of an `Installation` that return a `Finding`.
The command calls `run.run_checks`. Decision 14 in docs/decisions/README.md: how it recognizes its
own server through a proxy.
"""
