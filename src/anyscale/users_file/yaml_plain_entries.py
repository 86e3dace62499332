"""Read the plain entries of a YAML file by a pattern, in half of the time of its parser.

An entry is plain if each line is a field and its value, and if the value is the text itself or the
text between its quotes. A users file is usually written by a program, and has no other entries. The
parser reads the rest: from the first entry that is not plain, or has a problem, to the end.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import repeat

from anyscale.domain.validation import FIELDS, FLAGS, CheckedUser, check
from anyscale.users_file.entry_collector import REQUIRED, EntryCollector
from anyscale.users_file.field_words import BOOLEANS, NULLS, UNCLEAR_NULLS
from anyscale.users_file.input_stream import Fatal, InputStream

# What may be above the entries, which follow without a comment or a blank line.
_HEADER = re.compile(r"(?:(?:#[^\n]*)?\n)*+(?:---\n)?+create_users: *+\n(?=(?P<indent> {0,8}))")

# Without quotes, a value begins with a letter, a digit or _, does not end with a blank, and has no
# ": " and no " #" (YAML 1.2.2, 7.3.3), and no tab, which PyYAML's own parser refuses. In quotes, it
# has no escape and no line break.
_UNQUOTED = r"\w[^\n\t:#]*+(?:(?:(?<! )#|:(?=[^ \n]))[^\n\t:#]*+)*+(?<! )"
_VALUE = rf"""'[^'\n]*+'|"[^"\\\n]*+"|{_UNQUOTED}|~|"""

#: The fields of most files: a pattern with all fields takes a tenth longer.
_USUAL = FIELDS[: FIELDS.index("external_id") + 1]
_OTHERS = tuple(f"{name}:" for name in FIELDS if name not in _USUAL)

_NOT_NULL = (*REQUIRED, *FLAGS)

#: characters of a piece of blank lines
_PIECE = 1 << 16


def _entry(indent: str, follows: str, names: Sequence[str] = FIELDS) -> re.Pattern[str]:
    """Return the pattern of an entry with fields in any order, before another pattern."""
    fields = "|".join(rf"{name}:(?=[ \n]) *+(?P<{name}>{_VALUE})\n" for name in names)
    return re.compile(rf"{indent}- (?:(?:{fields})(?:{indent}  |(?={follows})))++(?<=\n)")


def _has_others(text: str, start: int) -> bool:
    """Whether a text may have fields that are not usual: to compile their pattern takes 2 ms."""
    return any(text.find(name, start) >= 0 for name in _OTHERS)


def read_yaml(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a YAML file, in order; problems go to `entries`.

    The parser is imported for a file that needs it: that takes 8 ms.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    plain_entries = PlainEntries(source, entries)
    yield from plain_entries.users()
    if not plain_entries.are_all:
        from anyscale.users_file.yaml_reader import read_events

        yield from read_events(plain_entries, source, entries)


class PlainEntries:
    """Reads the plain entries at the beginning of a file, and hands the rest to the parser."""

    def __init__(self, source: InputStream, entries: EntryCollector) -> None:
        self._source = source
        self._entries = entries
        #: whether nothing is left to the parser
        self.are_all: bool = False
        #: the lines above the first entry
        self._header = ""
        #: number of the first line that is left to the parser
        self._line = 1
        #: what was read of the file from that line on, without `_ahead`
        self._text = ""
        #: the next piece, if no entry in it was read here
        self._ahead = ""

    @cached_property
    def _left(self) -> Iterator[str]:
        """The pieces for the parser. Without one, no generator and this object keep each other."""
        return filter(None, self._pieces())

    def users(self) -> Iterator[CheckedUser]:
        """Read the users before the first entry that is not plain or has a problem.

        Raises:
            Fatal: nothing of the file can be read.
        """
        self._text = self._source.read_text()
        if not (header := _HEADER.match(self._text)):
            return
        self._header, self._text = header[0], self._text[header.end() :]
        self._line += self._header.count("\n")
        indent = header["indent"]
        # The next entry must have 4 characters: libyaml reads that many before it ends this one.
        follows = rf"{indent}- .."
        match, has_all = _entry(indent, follows, _USUAL).match, False
        while True:
            text, end = self._text + self._ahead, 0
            while True:
                entry = match(text, end)
                if not entry and not has_all and _has_others(text, end):
                    # The entries of a file are alike: all later ones have this pattern too.
                    match, has_all = _entry(indent, follows).match, True
                    entry = match(text, end)
                if not entry or not (user := self._user(entry)):
                    break
                yield user
                end = entry.end()
            if not end:
                break
            self._text, self._ahead = text[end:], self._read_ahead()
        if self._source.is_last_piece:
            yield from self._last_user(match, follows)

    def _last_user(
        self, match: Callable[[str], re.Match[str] | None], follows: str
    ) -> Iterator[CheckedUser]:
        """Read the last entry of the file, if it is plain and valid, as if another one followed."""
        try:
            self._ahead += self._source.read_text()  # the end of a line, or nothing
        except Fatal:
            return
        text = self._text + self._ahead
        entry = match(text + follows)
        if entry and entry.end() == len(text) and (user := self._user(entry)):
            self._text, self._ahead, self.are_all = "", "", True
            yield user

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece for PyYAML's parser: the header and the entries that are left.

        A blank line stands for each line that was read here, so that positions are right.
        """
        return next(self._left, "").encode()

    def _pieces(self) -> Iterator[str]:
        yield self._header
        lines = self._line - 1 - self._header.count("\n")
        yield from repeat("\n" * _PIECE, lines // _PIECE)
        yield "\n" * (lines % _PIECE)
        yield self._text
        if self._ahead:  # a parser without this class would read it now, after those entries
            self._source.note_entries()
            yield self._ahead
        yield from iter(self._source.read_text, "")

    def _read_ahead(self) -> str:
        try:
            return self._source.read_text()
        except Fatal:  # it is raised again when the parser has read the text before that place
            return ""

    def _user(self, entry: re.Match[str]) -> CheckedUser | None:
        """Take a valid entry; return None for the others."""
        values = entry.groups()
        lines = entry[0].count("\n")
        if lines != len(values) - values.count(None):  # a field is there twice
            return None
        if not UNCLEAR_NULLS.isdisjoint(values):
            return None
        is_usual = len(values) == len(_USUAL)
        user = self._check(*values) if is_usual else self._check_all(entry)
        if user is None:
            return None
        password = _text(entry["password"]) if user.has_password else None  # or a hash
        text, start = entry.string, entry.start("email")
        line = self._line + text.count("\n", entry.start(), start)
        column = start - text.rfind("\n", 0, start)
        self._line += lines
        return self._entries.accept(user, password, line, column)

    def _check(
        self,
        name: str | None,
        email: str | None,
        password: str | None,
        is_sso_user: str | None,
        lastname: str | None,
        title: str | None,
        external_id: str | None,
    ) -> CheckedUser | None:
        entries = self._entries
        flag = entries.default_sso if is_sso_user is None else BOOLEANS.get(is_sso_user.lower())
        name_text = entries.default_text if name is None else _text(name)
        email_text = _text(email)
        if name_text is None or email_text is None or flag is None:
            return None
        return check(
            entries.options.policy,
            name=name_text,
            email=email_text,
            password=None if entries.options.verify else _text(password),
            is_sso_user=flag,
            lastname=entries.default_text if lastname is None else _text(lastname),
            title=entries.default_text if title is None else _text(title),
            external_id=entries.default_text if external_id is None else _text(external_id),
        )

    def _check_all(self, entry: re.Match[str]) -> CheckedUser | None:
        """Do what `_check` does for an entry with other fields."""
        values = {
            field: BOOLEANS.get(value.lower()) if field in FLAGS else _text(value)
            for field, value in entry.groupdict().items()
            if value is not None
        }
        if None in map(values.get, self._entries.options.required):
            return None
        if None in values.values() and any(values.get(name, "") is None for name in _NOT_NULL):
            return None
        return self._entries.check(values)


def _text(value: str | None) -> str | None:
    """Return the text of a value as it is written; None for a null and a missing field."""
    if value is None or value in NULLS:
        return None
    return value[1:-1] if value[0] in "'\"" else value
