"""The records of the syncs that the console has started, and of the answers to questions."""

from anyscale.server.store.records.record import Record


class AnswerRecord(Record, frozen=True):
    """What an answer to a question of a sync was the answer to: see `GivenAnswer`."""

    words: str
    change: str
    answered_at: int


class SyncRecord(Record, frozen=True):
    """How far a sync is. It has nothing of its file but the name."""

    sync_id: str
    #: of the form that started it, which may arrive twice
    form_key: str
    file_name: str
    started_by: str
    started_at: int
    #: when its progress was last stored
    touched_at: int
    #: how many accounts its plan changes
    total: int
    #: `running`, `done`, or `stopped` before its end
    state: str = "running"
    created: int = 0
    corrected: int = 0
    suspended: int = 0
    restored: int = 0
    #: of the corrected accounts: those that have neither SSO nor a password since
    locked_out: int = 0
    #: accounts that stayed as they are, since they had changed after the plan
    unchanged: int = 0
    #: of the created accounts
    batch_id: str | None = None
