"""`anyscale user set-password-link`: one link on standard output, or many in a file."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import Self

import click

from anyscale.cli.account_argument import check_account, find_account
from anyscale.cli.atomic_file import AtomicFile
from anyscale.cli.connect import host_option, open_control_plane, suggested_command
from anyscale.cli.exit_status import explain_interrupt
from anyscale.cli.formats import OutputLost, require_written, write_text
from anyscale.cli.problem_report import say_problems
from anyscale.cli.signals import ignore_signals
from anyscale.cli.terminal import clear_progress, log, show_progress
from anyscale.cli.users_file import (
    chosen_file_options,
    file_options,
    open_users_file,
    refuse_file,
    users_file_option,
)
from anyscale.comparison.list_users import list_users
from anyscale.domain.models.users import PasswordLink
from anyscale.domain.phrases import quantity
from anyscale.domain.spreadsheets import spreadsheet_cell
from anyscale.domain.times import TIME
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import CheckedUser, Policy, shown
from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    ConfigError,
    NotFound,
    Problem,
    Unavailable,
)
from anyscale.transport.base import Transport
from anyscale.users_file import UsersFile

#: links a request
_PAGE = 1_000

_AGAIN = "run the same command again to create new ones"

_NO_LINK = "no link was created"

_REPLACED = "Earlier links, if any, no longer work."


@click.command("set-password-link")
@click.argument("account", metavar="[EMAIL|ID]", required=False)
@users_file_option(text="For all users of a file: their emails are enough.")
@file_options
@click.option(
    "--batch",
    "batch_id",
    metavar="ID",
    help="For all accounts of a batch that nobody can sign in to yet.",
)
@click.option(
    "--without-credentials",
    is_flag=True,
    help="For all accounts that nobody can sign in to yet.",
)
@click.option(
    "--output-file",
    type=click.Path(),
    metavar="PATH",
    help="The new file for the links, as CSV: needed for many.",
)
@click.option("--mail", is_flag=True, help="Let the server send the links by mail.")
@host_option
def set_password_link(
    account: str | None,
    users_file: str | None,
    batch_id: str | None,
    without_credentials: bool,
    output_file: str | None,
    mail: bool,
    host: str | None,
) -> None:
    """Create links for users to set their passwords: each works once, and expires.

    \b
    Examples:
      anyscale user set-password-link jane@example.com
      anyscale user set-password-link -f users.yaml --output-file links.csv
      anyscale user set-password-link --batch bat_0193... --output-file links.csv
      anyscale user set-password-link --without-credentials --output-file new.csv
      anyscale user set-password-link --batch bat_0193... --mail

    A link is enough to set the password, so give it only to its user. A new link revokes the
    previous one of the same user, also if the command is interrupted and writes no file: run it
    again then.

    With --mail the server creates each link when it sends it, and nobody else sees it:
    `anyscale mail list` shows what is sent and what is due.
    """
    named = sum(option is not None for option in (account, users_file, batch_id))
    if (count := named + without_credentials) != 1:
        only = ", and by only one of them" if count else ""
        raise ConfigError(
            f"name the users by an email, -f FILE, --batch ID or --without-credentials{only}"
        )
    if users_file is None and (of_a_file := chosen_file_options()):
        raise ConfigError(f"{of_a_file[0]} is for -f FILE: name the file, or leave it out")
    if mail and output_file is not None:
        raise ConfigError("the server sends the links with --mail: leave out --output-file")
    if not mail and output_file is None and account is None:
        raise ConfigError("links for many users go into a file: name a new one by --output-file")
    if account is not None:
        check_account(account)
    file = open_users_file(users_file) if users_file is not None else None
    with open_control_plane(host) as transport:
        if mail:
            transport.mails.send_links([])  # a refusal comes before any work
            _mail(transport, account, file, batch_id)
            return
        if output_file is None:
            assert account is not None
            _write_one(transport, account)
            return
        with AtomicFile(output_file) as links:
            _fill(links, transport, *_users(transport, account, file, batch_id))


def _mail(
    transport: Transport,
    account: str | None,
    file: AbstractContextManager[UsersFile] | None,
    batch_id: str | None,
) -> None:
    """Let the server send links to the users by mail."""
    if account is None and file is None:
        transport.mails.send_links_to_many(batch_id or "")
        shows = suggested_command("mail", "list")
        log(f"The server mails the links: {shows} shows how many are sent, and how long it takes.")
        return
    _, user_ids = _users(transport, account, file, None)
    count, remaining = 0, iter(user_ids)
    while chunk := list(islice(remaining, _PAGE)):
        transport.mails.send_links(chunk)
        count += len(chunk)
    log(f"The server mails {quantity(count, 'link')}.")


def _write_one(transport: Transport, account: str) -> None:
    user = find_account(transport, account)
    with _LinkLosses("the link may be lost") as losses:
        (link,) = losses.create(transport, [user.user_id])
        require_written(write_text([link.url]))
        ignore_signals()  # nothing is lost any more
    log(
        f"The link works once, until {link.expires_at:{TIME}}. Give it only to {link.email}: "
        "it is enough to set the password."
    )
    log(_REPLACED)
    if link.is_sso_user:
        _warn_of_sso(f"{link.email} is an SSO user")


def _users(
    transport: Transport,
    account: str | None,
    file: AbstractContextManager[UsersFile] | None,
    batch_id: str | None,
) -> tuple[int, Iterable[str]]:
    """Return the number and the ids of the users that get links."""
    transport.links.create([])  # a refusal comes before any long work
    if batch_id is not None:
        return _batch_count(transport, batch_id), _batch_users(transport, batch_id)
    if account is not None:
        return 1, [find_account(transport, account).user_id]
    if file is not None:
        with file as opened:
            user_ids = _file_users(transport, opened)
    else:
        query = UserQuery(without_credentials=True)
        user_ids = [user.user_id for user in list_users(transport, query, None, _PAGE)]
    return len(user_ids), user_ids


def _batch_count(transport: Transport, batch_id: str) -> int:
    batch = transport.batches.show(batch_id)
    if batch.published_at is None:
        raise BatchGone(f"batch {batch_id} is {batch.state}: it has no accounts")
    return batch.without_credentials or 0


def _batch_users(transport: Transport, batch_id: str) -> Iterator[str]:
    after = ""
    while page := transport.links.without_credentials(batch_id, after, _PAGE):
        yield from (user.user_id for user in page)
        after = page[-1].user_id


def _file_users(transport: Transport, file: UsersFile) -> list[str]:
    """Return the ids of the accounts that have the emails of a users file."""
    reading = file.reading(Policy(), verify=True)  # which requires only an email
    users = list(reading)
    if reading.problems:
        refuse_file(file, BatchRefused(reading.problems, reading.problems.more), "text", _NO_LINK)
    user_ids = _look_up(transport, users)
    unknown = [_unknown(at, user) for at, user in enumerate(users) if at not in user_ids]
    if unknown:
        error = BatchRefused(reading.locate(unknown))
        say_problems(error)
        raise NotFound(f"{quantity(error.count, 'problem')}; {_NO_LINK}.")
    return list(user_ids.values())


def _look_up(transport: Transport, users: Sequence[CheckedUser]) -> dict[int, str]:
    """Look accounts up; return the ids of those that exist, by position, in order."""
    user_ids: dict[int, str] = {}
    for first in range(0, len(users), _PAGE):
        found = transport.users.find([user.email for user in users[first : first + _PAGE]])
        user_ids |= {at: user.user_id for at, user in enumerate(found, first) if user}
        show_progress("Looking up", first, len(users))
    return user_ids


def _unknown(position: int, user: CheckedUser) -> Problem:
    detail = f"{shown(user.email)} has no account"
    return Problem(index=position, field="email", code="email_unknown", detail=detail)


def _fill(file: AtomicFile, transport: Transport, total: int, user_ids: Iterable[str]) -> None:
    """Create the links, and keep the file of them if there are any."""
    with _LinkLosses("no file was written") as losses:
        sso_count, expires_at = _write_links(file, transport, total, user_ids, losses)
        clear_progress()
        if expires_at is None:
            log("No user needs a link: no file was created.")
            return
        ignore_signals()  # once the file has its name, nothing is lost any more
        file.keep()
    count = losses.count
    are, each = ("is", "It") if count == 1 else ("are", "Each")
    links = f"{quantity(count, 'link')} {are} in {file.path}"
    log(f"{links}. {each} works once, until {expires_at:{TIME}}.")
    log(f"A link is enough to set the password: give {each.lower()} only to its user.")
    log(_REPLACED)
    if sso_count:
        _warn_of_sso(
            f"{sso_count:,} of {count:,} {'is' if sso_count == 1 else 'are'} for SSO users"
        )


def _warn_of_sso(subject: str) -> None:
    log(
        f"{subject}: the password works beside SSO. To allow only SSO, set ANYSCALE_SSO_ONLY "
        "on the server."
    )


class _LinkLosses:
    """Counts the links that a command creates, and says what an error or an interrupt loses.

    It adds to an error what was lost, and explains an interrupt.

    Args:
        output: what becomes of the new links then: "no file was written".
    """

    def __init__(self, output: str) -> None:
        self._output = output
        #: links that were created, or may have been
        self.count = 0

    def __enter__(self) -> Self:
        explain_interrupt(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self.count and isinstance(error, AnyscaleError | OutputLost):
            # An error of the configuration says itself what to change: "name a new file".
            text = self._lost() if isinstance(error, ConfigError) else str(self)
            error.add_note(text[0].upper() + text[1:])

    def __str__(self) -> str:
        """Return what is lost, and how to continue; empty if nothing is."""
        return f"{self._lost()}; {_AGAIN}" if self.count else ""

    def create(self, transport: Transport, user_ids: Sequence[str]) -> list[PasswordLink]:
        """Create links, and count them unless it is known that none was created."""
        self.count += len(user_ids)  # before: an interrupt may lose the response
        try:
            return transport.links.create(user_ids)
        except AnyscaleError as error:
            if not (isinstance(error, Unavailable) and error.outcome_unknown):
                self.count -= len(user_ids)
            raise

    def _lost(self) -> str:
        users = "1 user" if self.count == 1 else f"up to {self.count:,} users"
        return f"{self._output}, and earlier links of {users}, if any, no longer work"


def _write_links(
    file: AtomicFile,
    transport: Transport,
    total: int,
    user_ids: Iterable[str],
    losses: _LinkLosses,
) -> tuple[int, datetime | None]:
    """Return how many links are for SSO users, and when the first one expires."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("email", "url", "expires_at"))
    remaining, sso_count, expires_at = iter(user_ids), 0, None
    while chunk := list(islice(remaining, _PAGE)):
        for link in losses.create(transport, chunk):
            writer.writerow(
                (spreadsheet_cell(link.email), link.url, f"{link.expires_at:%Y-%m-%dT%H:%M:%SZ}")
            )
            expires_at = expires_at or link.expires_at
            sso_count += link.is_sso_user
        show_progress("Creating links", losses.count, max(losses.count, total))
    return sso_count, expires_at
