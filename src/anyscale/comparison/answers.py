"""The answers of an administrator to the questions of a plan.

An answer is a few words, such as `--same-person 99`, that a script may keep for years. So it holds
for one change: the control plane stores what the words were the answer to when they are followed,
and the same words answer no other change.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from anyscale.comparison.sync_options import Answer, SyncOptions
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.sync import GivenAnswer, Question

#: questions that say whether an entry is the person of an account
_ABOUT_AN_ACCOUNT = frozenset({"other_person", "renumbered", "returned"})

#: questions that a person of one's own answers
_ABOUT_A_PERSON = _ABOUT_AN_ACCOUNT | {"look_alike", "lost_letters"}


class MatchedAnswer(Struct, frozen=True):
    """An answer of the caller, and the questions that it is the answer to."""

    answer: Answer
    #: as the option of the command, for a message
    words: str
    questions: Sequence[Question]

    @property
    def given(self) -> GivenAnswer:
        """What the control plane stores: hashes, since the words name a person."""
        changes = " ".join(sorted(one.change for one in self.questions))
        return GivenAnswer(words=_hash(self.words), change=_hash(changes))

    @property
    def by_change(self) -> Mapping[str, Answer]:
        return {one.change: self.answer for one in self.questions}


def matched_answers(options: SyncOptions, questions: Sequence[Question]) -> list[MatchedAnswer]:
    """Return the answers of the caller that are about questions of a plan."""
    by_words = dict[tuple[Answer, str], list[Question]]()
    for question in questions:
        for answer in _about(question, options):
            by_words.setdefault(answer, []).append(question)
    found = (MatchedAnswer(*answer, about) for answer, about in by_words.items())
    return [*_about_numbers(options, questions), *found]


def suggested_answers(questions: Sequence[Question]) -> list[MatchedAnswer]:
    """Return an answer of each kind that questions can have."""
    renumbered = [one for one in questions if one.kind == "renumbered"]
    found = [MatchedAnswer("same", f"--renumbered {len(renumbered)}", renumbered)]
    for question in questions:
        if option := option_of(question):
            found.append(MatchedAnswer("same", option, [question]))
        if can_differ(question):
            found.append(MatchedAnswer("differ", f"--they-differ {question.email}", [question]))
    return found if renumbered else found[1:]


def option_of(question: Question) -> str | None:
    """Return the option that says that it is the same person; None if none can."""
    if question.kind not in _ABOUT_AN_ACCOUNT:
        return None
    return f"--same-person {question.number or question.email}"


def can_differ(question: Question) -> bool:
    """Return whether `--they-differ` answers a question."""
    return question.kind in _ABOUT_A_PERSON


def _about_numbers(options: SyncOptions, questions: Sequence[Question]) -> Iterator[MatchedAnswer]:
    renumbered = [one for one in questions if one.kind == "renumbered"]
    if renumbered and options.renumbered == len(renumbered):
        yield MatchedAnswer("same", f"--renumbered {options.renumbered}", renumbered)


def _about(question: Question, options: SyncOptions) -> Iterator[tuple[Answer, str]]:
    """Iterate over the answers to a question, each with the words that gave it."""
    emails = {email_key_or_empty(question.email): question.email}
    if question.kind in _ABOUT_AN_ACCOUNT:
        for text in options.same_person:
            if text == question.number or email_key_or_empty(text) in emails:
                yield "same", f"--same-person {text}"
    if question.account_email:
        emails[email_key_or_empty(question.account_email)] = question.account_email
    if can_differ(question):
        for text in options.they_differ:
            if email_key_or_empty(text) in emails:
                yield "differ", f"--they-differ {text}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
