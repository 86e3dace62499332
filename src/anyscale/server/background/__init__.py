"""What a server does without a request: runs of users files, clean-up, indexing and mail.

    periodic.py      repeat the clean-up and the indexing
    mail.py          the threads that send mail
    failures.py      the log lines of work that has failed and is repeated
    file_runs.py     the runs of this process: each has a thread and needs no browser
    file_run.py      one run: its state and its result, of an import or a sync
    file_import.py   an import: the run of the command, with calls in this process
    file_sync.py     a sync of the accounts with a file: the sync of the command
    own_calls.py     the calls of both
    counted_file.py  the users file of a run
    upload.py        the file in memory
    memory_budget.py the memory that files may have, and who waits for it

`http` starts them, and shows how far a run is.
"""
