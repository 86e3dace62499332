"""Correct accounts, and emails that accounts pass on to each other at one moment."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct, structs

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.users import (
    EmailChange,
    ExpectedUser,
    UserChanges,
)
from anyscale.domain.schemas.users import MAX_EMAIL_CHANGES
from anyscale.errors import (
    AccountEdited,
    ConfigError,
    EmailTaken,
    ExternalIdTaken,
    NotFound,
    NotPermitted,
    OwnerKept,
)

#: Email changes of one call that do not depend on each other: it takes about a second.
_AT_ONCE = 200

#: Why the control plane refuses the correction of one account, and may not that of another one.
_REFUSALS = (ConfigError, EmailTaken, ExternalIdTaken, NotPermitted, OwnerKept)


class Correction(Struct, frozen=True):
    """What an account needs to be as its user in the file."""

    user_id: str
    #: in the file
    email: str
    changes: UserChanges
    #: what the account must be before
    expected: ExpectedUser

    @property
    def details(self) -> UserChanges:
        """The changes without the email."""
        return structs.replace(self.changes, email=UNSET)

    @property
    def expected_of_details(self) -> ExpectedUser:
        """What the account must be before the change of the details.

        Another sync may have given it the email already.
        """
        return structs.replace(self.expected, email=UNSET) if self.changes.email else self.expected

    @property
    def email_change(self) -> EmailChange | None:
        """The change of the email, after that of the details."""
        if not self.changes.email:
            return None
        expected = structs.replace(self.expected, **self.details.to_dict())
        return EmailChange(self.user_id, self.changes.email, expected)


def correct_emails(
    transport: ComparisonCalls, corrections: Sequence[Correction]
) -> Iterator[tuple[Correction, str | None]]:
    """Correct the emails of accounts; iterate over them, each with why it is refused, or None.

    An email that another one of these accounts gives up is free: accounts that pass on or swap
    their emails are corrected at one moment, all of them or none.
    """
    independent: list[Correction] = []
    for chain in _chains(corrections):
        if len(chain) > 1:
            yield from _correct_chain(transport, chain)
            continue
        independent += chain
        if len(independent) == _AT_ONCE:
            yield from _correct_independent(transport, independent)
            independent = []
    yield from _correct_independent(transport, independent)


def _chains(corrections: Sequence[Correction]) -> Iterator[list[Correction]]:
    """Iterate over the corrections, those together of which one gets the email of another."""
    by_old = {_key_of(one.expected.email): one for one in corrections}
    following = {one.user_id: by_old.get(_key_of(one.changes.email)) for one in corrections}
    chains = defaultdict[str, list[Correction]](list)
    ends: dict[str, str] = {}
    for one in corrections:
        # To the account whose new email no other one gives up, or around a circle.
        path, here = dict[str, None](), one
        while here.user_id not in ends and here.user_id not in path:
            path[here.user_id] = None
            here = following[here.user_id] or here
        end = ends.get(here.user_id, here.user_id)
        ends |= dict.fromkeys(path, end)
        chains[end].append(one)
    yield from chains.values()


def _correct_independent(
    transport: ComparisonCalls, corrections: Sequence[Correction]
) -> Iterator[tuple[Correction, str | None]]:
    """Correct emails that do not depend on each other: if one is refused, the others are not."""
    if not corrections:
        return
    if _change(transport, corrections) is None:
        yield from ((one, None) for one in corrections)
        return
    for one in corrections:
        yield one, _change(transport, [one])


def _correct_chain(
    transport: ComparisonCalls, chain: Sequence[Correction]
) -> Iterator[tuple[Correction, str | None]]:
    refusal: str | None = (
        f"{len(chain):,} accounts pass their emails on to each other, and {MAX_EMAIL_CHANGES:,} "
        "can do so at one moment: give some of them other emails first"
    )
    if len(chain) <= MAX_EMAIL_CHANGES:
        refusal = _change(transport, chain)
    yield from ((one, refusal) for one in chain)


def _change(transport: ComparisonCalls, corrections: Sequence[Correction]) -> str | None:
    """Change emails at one moment, or return why the control plane refuses it."""
    try:
        transport.users.change_emails([one.email_change for one in corrections if one.email_change])
    except NotFound:
        return "the account has been deleted"
    except (AccountEdited, *_REFUSALS) as error:
        return str(error)
    return None


def _key_of(email: object) -> str:
    return email_key_or_empty(str(email))
