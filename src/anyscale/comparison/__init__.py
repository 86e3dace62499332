"""Compare the users of a source with their accounts, and bring the accounts up to date.

    comparison_calls.py    the calls of a control plane that all of them need
    matched_users.py       read the source, and find the account of each user
    differences.py         compare a user and an account
    verification.py        list what differs
    suspension_by_list.py  choose the accounts of a list to suspend or restore
    sync_run.py            a sync: plan it, and do it
    sync_planner.py        decide the plan, by the rules of the next two, in their order
    rules_of_entries.py    the rules about an entry and its account
    rules_of_plans.py      the rules about what depends on other accounts
    sync_limits.py         what stops a sync
    possible_pairs.py      a hint about people of a plan who may be the same

The commands, the SDK and the console use the package.
"""
