"""The questions of `anyscale user sync`: who is who, and the command that answers."""

from collections.abc import Sequence
from typing import Any

import click

from anyscale.cli.connect import suggested_command
from anyscale.cli.formats import write_text
from anyscale.cli.terminal import MOST_LISTED, say
from anyscale.cli.users_file import reading_options
from anyscale.comparison.answers import can_differ, option_of
from anyscale.domain.models.sync import Question
from anyscale.domain.phrases import quantity

#: options of the running command that the one with an answer repeats
_FLAGS = ("create", "correct", "suspend_missing", "restore", "unterminated")
_VALUES = ("at_most_create", "at_most_correct", "at_most_suspend", "renumbered")
_LISTS = ("same_person", "they_differ")


def show_questions(questions: Sequence[Question], name: str, *, is_cut: bool) -> None:
    """Write questions, of a list that is cut the first 50."""
    shown = questions[:MOST_LISTED] if is_cut else questions
    write_text(_line(question, name) for question in shown)
    if more := len(questions) - len(shown):
        say(f"... and {quantity(more, 'question')} more: -o json lists all")


def say_questions(questions: Sequence[Question]) -> None:
    """Say how many questions are open, and which commands answer them."""
    count = quantity(len(questions), "question")
    is_one = len(questions) == 1
    are, them = ("is", "it") if is_one else ("are", "them")
    say(f"{count} {are} open, and the accounts in {them} stay as they are.")
    if renumbered := sum(one.kind == "renumbered" for one in questions):
        say(f"If only the number has changed ({quantity(renumbered, 'user')}):")
        say(f"  {_command(renumbered=renumbered)}")
    for question in [one for one in questions if one.kind != "renumbered"][:MOST_LISTED]:
        _say_answers(question)


def _say_answers(question: Question) -> None:
    who = question.name or question.email
    if option_of(question):
        say(f"If {who} and {question.account_name} are the same person:")
        say(f"  {_command(same_person=question.number or question.email)}")
    if question.kind == "lost_letters":
        say(f"If {who} is the name as it is:")
        say(f"  {_command(they_differ=question.email)}")
    elif can_differ(question):
        say("If they are two people:")
        say(f"  {_command(they_differ=question.email)}")
    if question.kind == "look_alike":
        say("If it is the same person, with another email:")
        assert question.account_email
        change = ("user", "update", question.account_email, "--email", question.email)
        say(f"  {suggested_command(*change).strip('`')}")


def _line(question: Question, name: str) -> str:
    cell = question.cell or f"{question.line}:{question.column}"
    place = f"{name}:{cell}: " if question.line else ""
    return f"{place}question {question.email} ({question.name}): {question.reason}"


def _command(**answer: str | int) -> str:
    """Return the running command with an answer, for a shell."""
    params = click.get_current_context().params
    words = ["user", "sync", "-f", str(params["users_file"]), *reading_options()]
    words += [_option(name) for name in _FLAGS if params[name]]
    values: dict[str, Any] = {name: params[name] for name in _VALUES} | {
        name: value for name, value in answer.items() if name in _VALUES
    }
    words += [f"{_option(name)}={value}" for name, value in values.items() if value is not None]
    for name in _LISTS:
        given = [*params[name], *([answer[name]] if name in answer else [])]
        words += [f"{_option(name)}={value}" for value in given]
    return suggested_command(*words).strip("`")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
