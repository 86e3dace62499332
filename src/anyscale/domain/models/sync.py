"""The plan of a sync: what it would do to each account, and why."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, to_builtins

from anyscale.domain.models.users import ExpectedUser, UserChanges

StepKind = Literal["create", "correct", "suspend", "restore", "leave"]


class SyncStep(Struct, frozen=True, kw_only=True, gc=False):
    """What a sync does to one account, or why it does nothing.

    Attributes:
        kind (str): `create`, `correct`, `suspend`, `restore` or `leave` (it does nothing).
        email (str): Of the account; of a new one, as the entry has it.
        name (str): First and last name.
        reason (str): Why.
        user_id (str or None): The account; None if there is none.
        index (int or None): The entry, counted from 0; None for an account without one.
        line (int or None): The line of its email in the file, counted from 1; None for a list.
        column (int or None): The column of its email, counted from 1; None for a list.
        cell (str or None): The cell of its email, such as `C24`; None if the file has none.
        changes (UserChanges or None): The fields of a new account, or the new values of one.
        replaced (UserChanges or None): The values that a correction replaces.
        expected (ExpectedUser or None): What the account must be when the step is done; None for an
            account that is left or created.
    """

    kind: StepKind
    email: str
    name: str
    reason: str
    user_id: str | None = None
    index: int | None = None
    line: int | None = None
    column: int | None = None
    cell: str | None = None
    changes: UserChanges | None = None
    replaced: UserChanges | None = None
    expected: ExpectedUser | None = None


QuestionKind = Literal[
    "other_person", "renumbered", "returned", "two_accounts", "look_alike", "lost_letters"
]


class Question(Struct, frozen=True, kw_only=True, gc=False):
    """An entry of which it is not sure who it is: nothing is done to its people.

    Attributes:
        kind (str): `other_person` (the account may be another person's), `renumbered` (only the
            numbers differ), `returned` (a suspended account, and somebody else may be back),
            `two_accounts` (the number of one account and the email of another), `look_alike` (an
            account that the file lacks has the same name) or `lost_letters` (a new user's name has
            `?` in place of letters).
        email (str): Of the entry.
        name (str): Of the entry.
        reason (str): What is in doubt.
        change (str): Stands for the account, its former values and the new ones.
        number (str or None): The external id of the entry.
        user_id (str or None): The account; None if there is none.
        account_email (str or None): The email of the account.
        account_name (str or None): The name of the account.
        index (int or None): The entry, counted from 0.
        line (int or None): The line of its email in the file, counted from 1; None for a list.
        column (int or None): The column of its email, counted from 1; None for a list.
        cell (str or None): The cell of its email, such as `C24`; None if the file has none.
        changes (UserChanges or None): What the account would get.
        replaced (UserChanges or None): What that would replace.
    """

    kind: QuestionKind
    email: str
    name: str
    reason: str
    change: str
    number: str | None = None
    user_id: str | None = None
    account_email: str | None = None
    account_name: str | None = None
    index: int | None = None
    line: int | None = None
    column: int | None = None
    cell: str | None = None
    changes: UserChanges | None = None
    replaced: UserChanges | None = None


class GivenAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer to a question of a sync, as hashes (SHA-256 in hexadecimal digits).

    Attributes:
        words (str): Of the words of the answer, such as an option of the command.
        change (str): Of the account, its former values and the new ones.
    """

    words: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    change: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class LookAlike(Struct, frozen=True, gc=False):
    """An account to suspend and an entry to create that may be the same person.

    They have no two different numbers. Those of a plan have the same name: the email of the entry
    may be mistyped or cut off. Each is a question, too.
    """

    suspend: SyncStep
    create: SyncStep


class SyncResult(Struct, kw_only=True):
    """What a sync has done so far.

    Attributes:
        created (int): Accounts.
        corrected (int): Accounts.
        suspended (int): Accounts.
        restored (int): Accounts.
        locked_out (int): Of the corrected ones: those without SSO and without a password since.
        batch_id (str or None): The batch of the created accounts.
        left (list[SyncStep]): Steps that were not done: something has changed since the plan.
    """

    created: int = 0
    corrected: int = 0
    suspended: int = 0
    restored: int = 0
    locked_out: int = 0
    batch_id: str | None = None
    left: list[SyncStep] = []

    def __str__(self) -> str:
        """Return the numbers in words."""
        done = ("created", "corrected", "suspended", "restored")
        counts = [f"{getattr(self, name):,} {name}" for name in done if getattr(self, name)]
        return ", ".join(counts) or "nothing changed"


class SyncPlan(Struct, kw_only=True):
    """What a sync would do, against the state before it, and what it has done.

    Attributes:
        checked (int): Entries.
        accounts (int): Accounts that are not suspended; of the entries, if it only corrects.
        create (list[SyncStep]): Accounts to create, in the order of the entries.
        correct (list[SyncStep]): Accounts to correct, in the order of the entries.
        suspend (list[SyncStep]): Accounts to suspend, in the order of their creation.
        suspend_recent (int): Of the accounts to suspend, those created in the last 7 days: the
            file may be older than they are.
        restore (list[SyncStep]): Accounts to restore, in the order of the entries.
        left (list[SyncStep]): Accounts and entries that the sync leaves as they are, with a reason.
        blocked (list[SyncStep]): Entries whose account cannot be created, or get its email or
            number, yet, and accounts that got an email or a number of an entry meanwhile, with a
            reason.
        questions (list[Question]): Entries of which it is not sure who they are, in their order.
        look_alikes (list[LookAlike]): The pairs of the questions of that kind.
        stops (list[str]): Why the sync stops before it does anything; empty if it does not.
        done (SyncResult or None): What was done; None before, and for a dry run.
    """

    checked: int = 0
    accounts: int = 0
    create: list[SyncStep] = []
    correct: list[SyncStep] = []
    suspend: list[SyncStep] = []
    suspend_recent: int = 0
    restore: list[SyncStep] = []
    left: list[SyncStep] = []
    blocked: list[SyncStep] = []
    questions: list[Question] = []
    look_alikes: list[LookAlike] = []
    stops: list[str] = []
    done: SyncResult | None = None

    @property
    def steps(self) -> int:
        """How many accounts it changes."""
        return sum(map(len, (self.create, self.correct, self.suspend, self.restore)))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON."""
        document: dict[str, Any] = to_builtins(self)
        return document
