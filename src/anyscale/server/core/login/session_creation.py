"""How sessions begin: for one who signs in, or for several in one transaction."""

import os
from collections.abc import Iterator, Sequence

from msgspec import Struct

from anyscale.server.core.audit import log as audit
from anyscale.server.core.login.sessions import ABSOLUTE_LIMIT, ClientInfo, hash_of, new_secret
from anyscale.server.store.interface import AccountRecord, SessionRecord, Transaction

__all__ = ["LockedAccount", "NewSession", "begin", "begin_all", "hold", "hold_all"]

_AGENT_LENGTH = 200


class LockedAccount(Struct, frozen=True):
    """Whose session is to begin, and where."""

    account: AccountRecord
    browser: ClientInfo
    #: The session that the browser has, which may be another account's: that one is held as well.
    before: SessionRecord | None


class NewSession(Struct, frozen=True):
    """A session that has begun."""

    row: SessionRecord
    #: The secrets of the browser's two cookies, of which the control plane keeps the hashes only.
    session: str
    device: str

    def __repr__(self) -> str:
        return f"Begun({self.row.session_id!r})"


def hold(rows: Transaction, user_id: str, browser: ClientInfo) -> LockedAccount | None:
    """Hold an account, as `hold_all` does."""
    return hold_all(rows, [(user_id, browser)])[0]


def hold_all(
    rows: Transaction, coming: Sequence[tuple[str, ClientInfo]]
) -> list[LockedAccount | None]:
    """Hold accounts, and those whose sessions the browsers have, which `begin_all` ends.

    By their ids, as whoever holds several accounts: it comes first in a transaction.

    Args:
        rows: the transaction.
        coming: the ids of the accounts, and where a session of each is to begin.

    Returns:
        For each, in order: what was held, or None where there is no such account.
    """
    hashes = [hash_of(browser.session) if browser.session else b"" for _, browser in coming]
    before = {session.hash: session for session in rows.sessions_with(set(filter(None, hashes)))}
    ids = {user_id for user_id, _ in coming} | {session.user_id for session in before.values()}
    held = rows.hold_accounts(ids)
    return [
        LockedAccount(held[user_id], browser, before.get(hash_)) if user_id in held else None
        for (user_id, browser), hash_ in zip(coming, hashes, strict=True)
    ]


def begin(rows: Transaction, way: str, held: LockedAccount) -> NewSession:
    """Begin a session, as `begin_all` does."""
    return begin_all(rows, way, [held])[0]


def begin_all(rows: Transaction, way: str, held: Sequence[LockedAccount]) -> list[NewSession]:
    """Begin sessions, and end those that the browsers had (ASVS 5.0, 7.2.4).

    From then on the accounts know the browsers.

    Args:
        rows: a transaction that has taken these by `hold_all`. The trail is held from now on.
        way: by which they come: `password`, `link` or `sso`.
        held: for whom, and where.

    Returns:
        The session of each, in order.
    """
    if not held:
        return []
    now = rows.now()
    begun = [_begun(one, way, now) for one in held]
    ended = set(rows.end_each({one.before.session_id for one in held if one.before}))
    rows.add_sessions([one.row for one in begun])
    rows.remember_devices({(hash_of(one.device), one.row.user_id) for one in begun}, now)
    audit.append_all(rows, list(_entries(held, begun, ended)))
    return begun


def _begun(held: LockedAccount, way: str, now: int) -> NewSession:
    secret, browser = new_secret(), held.browser
    row = SessionRecord(
        session_id=f"ses_{now:012x}{os.urandom(6).hex()}",
        user_id=held.account.user_id,
        hash=hash_of(secret),
        way=way,
        address=browser.address,
        agent="".join(filter(str.isprintable, browser.agent[:_AGENT_LENGTH])),
        created_at=now,
        used_at=now,
        expires_at=now + ABSOLUTE_LIMIT,
    )
    return NewSession(row, secret, browser.device or new_secret())


def _entries(
    held: Sequence[LockedAccount], begun: Sequence[NewSession], ended: set[str]
) -> Iterator[audit.Entry]:
    for one, new in zip(held, begun, strict=True):
        # Two windows of one browser may sign in at once: the session that it had ends once.
        if one.before and one.before.session_id in ended:
            ended.remove(one.before.session_id)
            actor = f"user:{one.before.user_id}"
            yield audit.Entry(actor, "session.ended", one.before.session_id, {})
        actor, told = f"user:{one.account.user_id}", {"way": new.row.way}
        yield audit.Entry(actor, "session.begun", new.row.session_id, told)
