"""Compare the users of a source with their accounts, and bring the accounts up to date.

`matched_users` reads the source and finds the account of each user, and `differences` compares two
of them. `verification` lists what differs, and `suspension` chooses the accounts of a list to
suspend or restore. A sync brings accounts up to date: `sync_run` reads and does it. In between,
`sync_planner` decides: `rules_of_entries` about each entry and its account, then `rules_of_plans`
about what depends on other accounts; `possible_pairs` is a hint about a plan. The commands, the SDK
and the console use the package: `comparison_calls` has the calls of a control plane that it needs.
"""
