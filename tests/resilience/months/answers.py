"""The words that answer questions, as `docs/operations/who-is-who.md` has them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.resilience.months.plan import Asked, Change

#: questions that say whether a row is the person of an account
ABOUT_AN_ACCOUNT = {"other", "renumbered", "returned"}


@dataclass
class Answers:
    """What somebody answers.

    Attributes:
        words: of the command, or the count that a page asks for.
        marked: on a page, whether it is the same person.
        fields: of the page, for those.
    """

    words: list[str] = field(default_factory=list)
    marked: dict[Change, bool] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)


class GivenAnswers:
    """What words were the answer to: they hold for that change, and for no other."""

    def __init__(self) -> None:
        self._changes: dict[str, frozenset[Change]] = {}

    def holding(self, words: Iterable[str], questions: Sequence[Asked]) -> Mapping[Change, bool]:
        """Return the answers that words give to questions."""
        return {
            change: not word.startswith("--they-differ")
            for word in words
            if self.holds(word, questions)
            for change in _changes(word, questions)
        }

    def holds(self, word: str, questions: Sequence[Asked]) -> bool:
        """Return whether words were the answer to no other change."""
        changes = _changes(word, questions)
        return self._changes.get(word, changes) == changes

    def store(self, words: Iterable[str], questions: Sequence[Asked]) -> None:
        """Store what words were the answer to, if they were followed."""
        for word in words:
            if changes := _changes(word, questions):
                self._changes.setdefault(word, changes)


def _changes(word: str, questions: Sequence[Asked]) -> frozenset[Change]:
    return frozenset(one.change for one in about(word, questions))


def about(word: str, questions: Sequence[Asked]) -> Iterator[Asked]:
    """Iterate over the questions that words are an answer to."""
    option, _, text = word.partition("=")
    renumbered = [one for one in questions if one.kind == "renumbered"]
    if option == "--renumbered" and text == str(len(renumbered)):
        yield from renumbered
    for one in questions:
        texts = set[str | None]()
        if option == "--same-person" and one.kind in ABOUT_AN_ACCOUNT:
            texts = {one.row.number, one.row.email}
        if option == "--they-differ" and one.kind != "two":
            texts = {one.row.email, one.account.email if one.account else None}
        if text in texts:
            yield one
