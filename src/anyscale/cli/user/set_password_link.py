"""anyscale user set-password-link: one link for standard output, or many for a file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

import click

from anyscale.cli.connect import asked
from anyscale.cli.console import clear_progress, log, show_progress
from anyscale.cli.formats import write_text
from anyscale.cli.options import format_option, host_option

if TYPE_CHECKING:
    from datetime import datetime

    from anyscale.cli.atomic_file import NewFile
    from anyscale.errors import Problem
    from anyscale.transport.base import Transport
    from anyscale.user.validation import CheckedUser

__all__ = ["set_password_link"]

#: links a call
_PAGE = 1_000

_COLUMNS = ("email", "url", "expires_at")

#: By which a spreadsheet takes a cell for a formula.
_FORMULA = ("=", "+", "-", "@")


@click.command("set-password-link")
@click.argument("email", required=False)
@click.option(
    "--users-file", "-f", metavar="PATH", help="For all users of a file that batch-create read."
)
@format_option
@click.option(
    "--batch",
    "batch_id",
    metavar="ID",
    help="For all accounts of a batch that nobody can sign in to yet.",
)
@click.option(
    "--output-file", metavar="PATH", help="The new file for the links, as CSV: needed for many."
)
@host_option
def set_password_link(
    email: str | None,
    users_file: str | None,
    file_format: str | None,
    batch_id: str | None,
    output_file: str | None,
    host: str | None,
) -> None:
    """Make links by which people set their passwords: each is good once, and for some days.

    \b
    Examples:
      anyscale user set-password-link jane@example.com
      anyscale user set-password-link -f users.yaml --output-file links.csv
      anyscale user set-password-link --batch bat_0193... --output-file links.csv

    Whoever has a link can set the password, so hand it to its user alone. Making one ends the one
    before.
    """
    from anyscale.cli.atomic_file import NewFile
    from anyscale.errors import ConfigError

    if (given := sum(way is not None for way in (email, users_file, batch_id))) != 1:
        only = ", and by only one of them" if given else ""
        raise ConfigError(f"say for whom: by an email, by -f FILE or by --batch ID{only}")
    if output_file is None and email is None:
        raise ConfigError("links for many go into a file: name a new one by --output-file")
    with asked(host) as transport:
        if output_file is None:
            _show(transport, email or "")
        else:
            with NewFile(output_file) as file:
                _fill(
                    file, transport, *_wanted(transport, email, users_file, file_format, batch_id)
                )


def _show(transport: "Transport", email: str) -> None:
    (link,) = transport.set_password_links([_user_id(transport, email)])
    write_text([link.url])
    log(
        f"The link is good once, until {_shown(link.expires_at)}. Hand it to {link.email} alone: "
        "whoever has it can set the password."
    )


def _wanted(
    transport: "Transport",
    email: str | None,
    users_file: str | None,
    file_format: str | None,
    batch_id: str | None,
) -> tuple[int, Iterable[str]]:
    """Find out for whom links are to be made: how many they are, and their ids."""
    transport.set_password_links([])  # what forbids links is said before anything that takes long
    if batch_id is not None:
        return _count(transport, batch_id), _of_batch(transport, batch_id)
    if users_file is None:
        return 1, [_user_id(transport, email or "")]
    user_ids = _of_file(transport, users_file, file_format)
    return len(user_ids), user_ids


def _user_id(transport: "Transport", email: str) -> str:
    from anyscale.user.sdk import found_user

    return found_user(transport, email, None).user_id


def _count(transport: "Transport", batch_id: str) -> int:
    from anyscale.errors import BatchGone

    batch = transport.show(batch_id)
    if batch.state != "published":
        raise BatchGone(f"batch {batch_id} is {batch.state}: it has no accounts")
    return batch.without_way_in or 0


def _of_batch(transport: "Transport", batch_id: str) -> Iterator[str]:
    after = ""
    while page := transport.without_credentials(batch_id, after, _PAGE):
        yield from (user.user_id for user in page)
        after = page[-1].user_id


def _of_file(transport: "Transport", path: str, file_format: str | None) -> list[str]:
    """Give the accounts of a users file's emails, of which nothing else is used."""
    from anyscale.cli.user.batch_create import say_if_typed
    from anyscale.errors import ConfigError, NotFound
    from anyscale.user.files import UsersFile
    from anyscale.user.validation import Policy

    say_if_typed(path)
    with closing(UsersFile.open(path, file_format)) as file:
        reading = file.reading(Policy())
        users = list(reading)
        if reading.problems:
            raise ConfigError(f"{_told(reading.problems)}; no link was made.")
        found = _found(transport, users)
        unknown = [_unknown(at, user) for at, user in enumerate(users) if at not in found]
        if unknown:
            raise NotFound(f"{_told(reading.locate(unknown))}; no link was made.")
    return list(found.values())


def _found(transport: "Transport", users: "Sequence[CheckedUser]") -> dict[int, str]:
    """Look accounts up; give the ids of those that there are, by position, in order."""
    found: dict[int, str] = {}
    for first in range(0, len(users), _PAGE):
        for taken in transport.look_up(users[first : first + _PAGE], first):
            if taken.user_id is not None:  # else an unfinished batch has the email
                found[taken.position] = taken.user_id
        show_progress("Looking up", first, len(users))
    return found


def _unknown(at: int, user: "CheckedUser") -> "Problem":
    from anyscale.errors import Problem
    from anyscale.user.validation import shown

    detail = f"{shown(user.email)} has no account"
    return Problem(index=at, field="email", code="email_unknown", detail=detail)


def _told(problems: "Sequence[Problem]") -> str:
    """Name each problem in a line of its own; give how many they are."""
    from anyscale.cli.exit_status import say_problems
    from anyscale.errors import BatchRefused

    say_problems(BatchRefused(problems))
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _fill(file: "NewFile", transport: "Transport", total: int, user_ids: Iterable[str]) -> None:
    """Make the links, and keep the file of them if there are any."""
    import csv

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    rest, made, until = iter(user_ids), 0, ""
    while page := list(islice(rest, _PAGE)):
        for link in transport.set_password_links(page):
            writer.writerow((_cell(link.email), link.url, f"{link.expires_at:%Y-%m-%dT%H:%M:%SZ}"))
            until = until or _shown(link.expires_at)
            made += 1
        show_progress("Making links", made, max(made, total))
    clear_progress()
    if not made:
        log("Nobody needs a link: no file was made.")
        return
    file.keep()
    links = "1 link is" if made == 1 else f"{made} links are"
    log(f"{links} in {file.path}, each good once, until {until}.")
    log("Whoever has a link can set the password: hand each to its user alone.")


def _cell(email: str) -> str:
    return f"'{email}" if email.startswith(_FORMULA) else email


def _shown(time: "datetime") -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
