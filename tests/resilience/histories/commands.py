"""The command of a step: with a file, and ready to be killed and run again."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import structs
from tests.resilience.histories.clients import outcome_of_plan
from tests.resilience.histories.steps import Create, Entry, Step, Sync, Undo, Update

from anyscale.comparison.sync_options import SyncOptions
from anyscale.domain.models.sync import SyncResult


def with_options_of_command(step: Step) -> Step:
    """Return a step as a command can take it: without a kind it would do all of them."""
    if not isinstance(step, Sync):
        return step
    o = step.options
    limits = o.at_most_create, o.at_most_correct, o.at_most_suspend
    options = SyncOptions(
        restore=o.restore,
        at_most_create=limits[0],
        at_most_correct=limits[1],
        at_most_suspend=limits[2],
    )
    return Sync(step.entries, options)


def arguments_of(step: Step, folder: Path) -> list[str] | None:
    """Return the arguments of the command of a step; None if it has none."""
    match step:
        case Sync(entries, options) if entries:
            file = _write(entries, folder / "staff.csv")
            return ["user", "sync", "-f", file, "--yes", "-o", "json", *_options(options)]
        case Create(entries, if_exists):
            file = _write(entries, folder / "new.csv")
            return ["user", "batch-create", "-f", file, "--if-exists", if_exists]
        case Undo(batch, force):
            return ["batch", "undo", batch, "--yes", *(["--force"] if force else [])]
        case Update(user_id, changes, reuse_email) if all(changes.values()):
            fields = [
                word for name, value in changes.items() for word in (_option(name), str(value))
            ]
            return ["user", "update", user_id, *fields, *(["--reuse-email"] if reuse_email else [])]
        case _:
            return None


def _option(field: str) -> str:
    return "--" + field.replace("_", "-")


def _options(options: SyncOptions) -> Iterator[str]:
    if options.restore:
        yield "--restore"
    for kind in ("create", "correct", "suspend"):
        limit = getattr(options, f"at_most_{kind}")
        if limit is not None:
            yield f"--at-most-{kind}={limit}"


def _write(entries: Sequence[Entry], file: Path) -> str:
    with file.open("w", encoding="utf-8", newline="") as opened:
        # The email comes last: if it is cut off, it may still be one.
        columns = sorted(entries[0], key=lambda name: name == "email")
        writer = csv.DictWriter(opened, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)
    return str(file)


def cut_off(file: Path, octets: int) -> None:
    """Remove the last octets of a file; the first of them is the end of its last line."""
    file.write_bytes(file.read_bytes()[:-octets])


def outcome_of(stdout: str) -> object:
    """Return the outcome of the command of a sync, in the form of `Client.take`."""
    document = json.loads(stdout)
    if "problems" not in document:
        if not document["stops"]:  # without a step, the command does nothing
            document["done"] = document["done"] or structs.asdict(SyncResult())
        return outcome_of_plan(document)
    problems = frozenset((one["index"], one["code"]) for one in document["problems"])
    return "batch_refused", problems
