"""The questions of `anyscale user sync`: who is who, and the command that answers."""

from collections.abc import Container, Sequence
from typing import Any

import click

from anyscale.cli.connect import suggested_command
from anyscale.cli.formats import write_text
from anyscale.cli.terminal import MOST_LISTED, say
from anyscale.cli.users_file import reading_options
from anyscale.comparison.answers import option_of, suggested_answers
from anyscale.domain.models.sync import Question
from anyscale.domain.phrases import quantity
from anyscale.domain.schemas.users import MAX_ANSWERS
from anyscale.transport.base import Transport

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


def say_questions(transport: Transport, questions: Sequence[Question]) -> None:
    """Say how many questions are open, and which commands answer them."""
    count = quantity(len(questions), "question")
    are, them = ("is", "it") if len(questions) == 1 else ("are", "them")
    say(f"{count} {are} open, and the accounts in {them} stay as they are.")
    renumbered = [one for one in questions if one.kind == "renumbered"]
    named = [one for one in questions if one.kind != "renumbered"][:MOST_LISTED]
    usable = _usable(transport, [*renumbered, *named])
    if f"--renumbered {len(renumbered)}" in usable:
        say(f"If only the number has changed ({quantity(len(renumbered), 'user')}):")
        say(f"  {_command(renumbered=len(renumbered))}")
    else:
        named = [*renumbered[:MOST_LISTED], *named]
    for question in named:
        _say_answers(question, usable)


def _usable(transport: Transport, questions: Sequence[Question]) -> Container[str]:
    """Return the words that were not the answer to another change before."""
    answers = suggested_answers(questions)[:MAX_ANSWERS]
    holds = transport.users.answer_questions([one.given for one in answers], dry_run=True)
    return {one.words for one, holds_now in zip(answers, holds, strict=True) if holds_now}


def _say_answers(question: Question, usable: Container[str]) -> None:
    who = question.name or question.email
    option = option_of(question)
    if option:
        say(f"If {who} and {question.account_name} are the same person:")
        same = {"same_person": question.number or question.email}
        say(f"  {_command(**same) if option in usable else _update(question)}")
    elif question.kind == "look_alike" and question.user_id:
        say("If it is the same person, with another email:")
        say(f"  {_update(question)}")
    elif question.kind == "look_alike":
        say("If it is one of them, with another email, find the account, and change its email:")
        say(f"  {suggested_command('user', 'list', '--search', who).strip('`')}")
    if f"--they-differ {question.email}" in usable:
        is_name = question.kind == "lost_letters"
        say(f"If {who} is the name as it is:" if is_name else "If they are two people:")
        say(f"  {_command(they_differ=question.email)}")


def _update(question: Question) -> str:
    """Return the command that corrects the account of a question, for a shell."""
    assert question.account_email
    changes = question.changes.to_dict() if question.changes else {"email": question.email}
    words = ["user", "update", question.account_email]
    for field, value in changes.items():
        if isinstance(value, str) and value:
            words += [_option(field), value]
    return suggested_command(*words).strip("`")


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
