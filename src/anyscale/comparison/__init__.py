"""Compare the users of a source with their accounts, and bring the accounts up to date.

`matched_users` reads the source and finds the account of each user, and `differences` compares two
of them. `verification` lists what differs, and `corrections` corrects it; `suspension` chooses
accounts to suspend or restore. A sync does all of it: `sync_planner` decides without a call of the
control plane, `sync_run` reads and does it, and `possible_pairs` is a hint about a plan. The
commands, the SDK and the console use the package: `comparison_calls` has the calls of a control
plane that it needs.
"""
