"""The run that creates a batch: checked users in, calls of batches out.

The command `anyscale user batch-create`, the SDK's `admin_batch_create` (`user/created_users.py`)
and the console's file runs use this package. It imports only `domain` and `errors`. In the order of
a run:

    run.py               the run as a whole: one request for a small batch, else the steps below
    run_calls.py         the calls of a control plane that a run makes
    run_key.py           the idempotency key of the run, and whether a later run can repeat it
    reservations.py      read and check all users, and reserve their emails, chunk by chunk
    email_conflicts.py   wait for other open batches that have some of these emails, or refuse
    password_upload.py   read the users again, and send their passwords to be hashed
    bounded_executor.py  make a bounded number of calls at a time
    recent_rate.py       how fast the last seconds of the work were
    outcome.py           the result, and its log lines
"""
