"""The run that creates a batch: users -> chunks -> control plane -> created users.

The command `anyscale user batch-create` and the SDK's `admin_batch_create` (`created_users.py`) use
this package. In the order of a run:

    batch_run.py         the run as a whole: one request for a small batch, else the steps below
    run_key.py           the idempotency key of the run, and whether a later run can repeat it
    reservations.py      read and check all users, and reserve their emails, chunk by chunk
    email_conflicts.py   wait for other open batches that have some of these emails, or refuse
    password_upload.py   read the users again, and send their passwords to be hashed
    outcome.py           the result, and its log lines
"""
