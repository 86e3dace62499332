"""The input stream; and refusing a file of any size costs little memory and time."""

import io
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import pytest
from yaml.reader import Reader

from anyscale.domain.emails import email_key
from anyscale.domain.validation import Policy
from anyscale.errors.batches import MAX_PROBLEMS
from anyscale.users_file import UsersFile, format_of, json_scanner
from anyscale.users_file.entry_collector import EntryCollector, Place
from anyscale.users_file.input_stream import CapturedInput, Fatal, InputStream
from anyscale.users_file.reading_options import ReadingOptions

MIB = 1 << 20

#: seconds of work, with tracemalloc watching
SOON = 10


class Generated(io.BytesIO):
    """A stream that is generated as it is read, so that the test needs little memory."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        super().__init__()
        self._make = pieces
        self._pieces = pieces()
        self._rest = b""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        given, self._rest = self._rest[:size], self._rest[size:]
        return given

    def seek(self, offset: int, _whence: int = io.SEEK_SET) -> int:
        self._pieces, self._rest = self._make(), b""
        return offset


def then(start: bytes, again: bytes, size: int, end: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """Generate a start, then the same bytes repeated up to a size, and an end."""
    piece = again * max(1, (1 << 14) // len(again))
    # An empty piece would be the end of the stream.
    return lambda: filter(None, chain([start], repeat(piece, size // len(piece)), [end]))


def refused(pieces: Callable[[], Iterator[bytes]], name: str) -> tuple[list[str], float, int]:
    """Read; return the problems, the seconds it took and the peak of memory in MiB."""
    list(UsersFile(io.BytesIO(b"x"), name, format_of(name)).reading(Policy()))  # imports
    email_key("jané@exämple.com")  # imports, too
    file = UsersFile(Generated(pieces), name, format_of(name))
    tracemalloc.start()
    try:
        begin = time.process_time()
        reading = file.reading(Policy())
        for _user in reading:
            pass
        seconds = time.process_time() - begin
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return [str(problem)[:300] for problem in reading.problems[:5]], seconds, peak >> 20


Y = b"create_users:\n- name: Jane\n  email: "
J = b'{"create_users": [{"name": "Jane", "email": '
L = b'{"name": "Jane", "email": '
C = b"name,email\nJane,"

#: 20 levels that double: a million times the text, if a reader expanded them
LAUGHS = b"a0: &a0 lol\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 21)
)

NASTY: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "a YAML text of 100 MB": ("users.yaml", then(Y, b"x", 100 * MIB)),
    "a quoted YAML text of 100 MB": ("users.yaml", then(Y + b"'", b"x\n  ", 100 * MIB)),
    "a YAML block of 100 MB": ("users.yaml", then(Y + b"|\n", b"    x\n", 100 * MIB)),
    "a YAML comment of 100 MB": ("users.yaml", then(Y, b"# x\n", 100 * MIB)),
    "a YAML key of 100 MB": ("users.yaml", then(b"", b"x", 100 * MIB)),
    "a JSON text of 100 MB": ("users.json", then(J + b'"', b"x", 100 * MIB)),
    "a JSON text of 100 MB of escapes": ("users.json", then(J + b'"', b"\\u00e9", 100 * MIB)),
    "a JSON key of 100 MB": ("users.json", then(b'{"', b"x", 100 * MIB)),
    "a JSON Lines text of 100 MB": ("users.jsonl", then(L + b'"', b"x", 100 * MIB)),
    "a line of 100 MB that is not JSON": ("users.jsonl", then(b"", b"x", 100 * MIB)),
    "a CSV cell of 100 MB": ("users.csv", then(C, b"x", 100 * MIB)),
    "a CSV header of 100 MB": ("users.csv", then(b"", b"x", 100 * MIB)),
    "an open quote and 50 MB of CSV": ("users.csv", then(C + b'"', b"a,b\n", 50 * MIB)),
    "a CSV row of 50 MB of commas": ("users.csv", then(C, b",", 50 * MIB)),
    "a million [ in YAML": ("users.yaml", then(Y, b"[", MIB)),
    "a million [ at the top of YAML": ("users.yaml", then(b"", b"[", MIB)),
    "a million { in YAML": ("users.yaml", then(Y, b"{", MIB)),
    "a million [ in JSON": ("users.json", then(J, b"[", MIB)),
    "a million [ on a JSON line": ("users.jsonl", then(L, b"[", MIB)),
    "a million nested JSON maps": ("users.json", then(J, b'{"a":', 5 * MIB)),
    "a MB of dashes in YAML": ("users.yaml", then(b"create_users:\n", b"- ", MIB)),
    "a MB of question marks in YAML": ("users.yaml", then(b"create_users:\n", b"? ", MIB)),
    "a MB of colons in YAML": ("users.yaml", then(b"create_users:\n", b": ", MIB)),
    "a MB of tags in YAML": ("users.yaml", then(Y, b"!a ", MIB)),
    "a MB of anchors in YAML": ("users.yaml", then(Y + b"[", b"&a x, ", MIB)),
    "a MB of short YAML keys": ("users.yaml", then(b"create_users: [{", b"a, ", MIB)),
    "a MB of lists as YAML keys": ("users.yaml", then(b"create_users: [{", b"[]: a, ", MIB)),
    "a MB of short keys at the top of YAML": ("users.yaml", then(b"", b"a: b\n", MIB)),
    "a MB of directives in YAML": (
        "users.yaml",
        lambda: chain((b"%%TAG !a%x! x\n" % at for at in range(75_000)), [b"---\n" + Y]),
    ),
    "a MB of short JSON keys": ("users.json", then(J, b'"", "a":', MIB)),
    "a MB of short keys on a JSON line": ("users.jsonl", then(b'{"a":""', b',"a":""', MIB)),
    "lists that stay open on JSON lines": (
        "users.jsonl",
        then(b"", b"[" + b"0," * 499 + b"\n", 2 * MIB),
    ),
    "100 MB of short keys at the top of JSON": (
        "users.json",
        then(b'{"a":1', b',"a":1', 100 * MIB),
    ),
    "half a MB of columns in CSV": (
        "users.csv",
        then(b"name,email", b",a", MIB // 2, b"\n"),
    ),
    "half a MB of first names in the header of CSV": (
        "users.csv",
        then(b"name,email", b",vorname", MIB // 2, b"\n"),
    ),
    "brackets that stay open in the header of CSV": (
        "users.csv",
        then(b"name,email,", b"(", MIB // 16, b"\n"),
    ),
    "a MB of cells in a CSV row": ("users.csv", then(C, b",", MIB - 40_000, b"\n")),
    "many cells, the last one broken": ("users.csv", then(C, b",", MIB // 8, b'"x"y\n')),
    "aliases of 20 levels": ("users.yaml", lambda: iter([LAUGHS])),
    "aliases of 20 levels among the users": (
        "users.yaml",
        lambda: iter([b"create_users:\n- " + LAUGHS.replace(b"\n", b"\n  ")]),
    ),
    "a number of 5,000 digits": ("users.json", then(J, b"9", 5000, b"}]}")),
    "a number of a million digits": ("users.json", then(J, b"9", MIB - 40_000, b"}]}")),
    "a MB of numbers": ("users.json", then(J + b"[", b"1,", MIB - 40_000, b"1]}]}")),
    "a MB of empty lists": ("users.json", then(b'{"a": [', b"[],", MIB - 40_000, b"1]}")),
    "an email of a.a.a.": ("users.yaml", then(Y, b"a.", MIB // 2, b"a@example.com\n")),
    "an email of dashes": ("users.json", then(J + b'"', b"-", MIB // 2, b'"}]}')),
    "an email of at-signs": ("users.jsonl", then(L + b'"', b"@", MIB // 2, b'"}\n')),
    "an email with a long domain": ("users.csv", then(C + b"a@", b"a.", 100_000, b"com\n")),
    "an email with a long IDN": ("users.csv", then(C + b"a@", "ü".encode(), 100_000, b".com\n")),
}


@pytest.mark.parametrize(("name", "pieces"), NASTY.values(), ids=NASTY)
def test_a_malicious_file_is_refused_soon_and_in_little_memory(
    name: str, pieces: Callable[[], Iterator[bytes]]
) -> None:
    problems, seconds, mebibytes = refused(pieces, name)

    assert problems
    assert seconds < SOON
    assert mebibytes < 32


def test_a_header_of_more_than_a_thousand_columns_is_refused_before_they_are_looked_at() -> None:
    header = b"name,email" + b",title" * 998

    assert "'title' is there twice" in refused(lambda: iter([header + b",,,,\n"]), "u.csv")[0][0]
    assert refused(lambda: iter([header + b",title\n"]), "u.csv")[0] == [
        "u.csv:1:6000: more than 100 keys or columns are wrong up to here: it is not a users file"
    ]


@pytest.mark.parametrize(
    "email",
    ["a." * 126 + "a", "-" * 254, "@" * 254, "a@" + "a-" * 120 + "a.com", "a@" + "a." * 120 + "1"],
)
def test_an_email_that_could_make_a_pattern_backtrack_does_not(email: str) -> None:
    problems, seconds, _mebibytes = refused(
        lambda: iter([b"create_users:\n", *([f"- {{name: J, email: '{email}'}}\n".encode()] * 20)]),
        "users.yaml",
    )

    assert problems
    assert seconds < SOON / 5


def test_any_number_of_blanks_is_allowed_between_the_users_of_a_json_file() -> None:
    user = b'{"name": "Jane", "email": "%s"}'
    start = b'{"create_users": [' + user % b"a@example.com"

    problems, _seconds, mebibytes = refused(
        then(start, b" \n", 5 * MIB, b"," + user % b"b@example.com" + b"]}"), "users.json"
    )

    assert problems == []
    assert mebibytes < 32


def test_a_file_of_many_users_is_read_in_the_memory_of_their_emails_alone() -> None:
    """20 bytes per user: the place of the email, and a hash of it."""
    count = 10_000
    users = (b"%d,u%d@example.com\n" % (n, n) for n in range(count))

    problems, _seconds, mebibytes = refused(lambda: chain([b"name,email\n"], users), "users.csv")

    assert problems == []
    assert mebibytes < 4


@pytest.mark.parametrize(
    "line",
    [
        '{"name": "Jane", "email": "jane@example.com", "%s": ""}',
        '{"name": "Jane", "email": "jane@%s.com", "password": "correct-horse"}',
    ],
)
def test_long_keys_and_domains_are_not_kept_after_the_reading(line: str) -> None:
    refused(lambda: iter([line.encode()]), "users.jsonl")  # imports
    lines = "\n".join(line % (f"{at}-" + "x" * 50_000) for at in range(40)).encode()
    tracemalloc.start()
    try:
        assert list(UsersFile(io.BytesIO(lines), "users.jsonl", "jsonl").reading(Policy())) == []
        assert tracemalloc.get_traced_memory()[0] < MIB // 2
    finally:
        tracemalloc.stop()


# --- the stream itself


def source(data: bytes, *, yaml: bool = False) -> InputStream:
    return InputStream(io.BytesIO(data), "users.yaml", yaml=yaml)


def test_a_stream_returns_the_text_without_its_byte_order_mark() -> None:
    assert source(b"\xef\xbb\xbfh\xc3\xa9").read_text() == "hé"


def test_a_stream_returns_the_text_before_the_place_that_cannot_be_read() -> None:
    reading = source(b"one\ntw\xffo")

    assert reading.read_text() == "one\ntw"
    with pytest.raises(Fatal) as refusal:
        reading.read_text()
    problem = refusal.value.problem
    assert (problem.code, problem.line, problem.column) == ("encoding", 2, 3)


def test_a_stream_stays_at_its_end() -> None:
    reading = source(b"x")

    assert [reading.read_text() for _ in range(3)] == ["x", "", ""]
    assert reading.total == 1


def test_a_stream_raises_the_same_error_every_time() -> None:
    reading = source(b"\0")

    for _ in range(2):
        with pytest.raises(Fatal):
            reading.read_text()


def test_a_character_in_two_chunks_is_read_as_one() -> None:
    text = "x" * ((1 << 16) - 1) + "é" * 70_000

    assert "".join(iter(source(text.encode()).read_text, "")) == text


@pytest.mark.parametrize(
    "character", ["\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff"]
)
def test_only_yaml_stops_at_the_characters_that_yaml_does_not_allow(character: str) -> None:
    text = f"a{character}b"

    assert "".join(iter(source(text.encode()).read_text, "")) == text
    assert source(text.encode(), yaml=True).read_text() == "a"


def test_yaml_stops_at_every_character_that_its_parser_refuses_or_counts_as_a_line_end() -> None:
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10100)]))
    refused = {*Reader.NON_PRINTABLE.findall(characters), *"\x85\u2028\u2029\ufeff"}
    allowed = "".join(one for one in characters if one not in refused)

    text = "".join(iter(source(allowed.encode(), yaml=True).read_text, ""))
    assert text == allowed.replace("\r", "\n")
    for one in refused:
        assert source(f"a{one}b".encode(), yaml=True).read_text() == "a", f"U+{ord(one):04X}"


@pytest.mark.parametrize(
    "above", ["", "# x\n", "x" * ((1 << 16) - 1) + "\n", "x%" * (1 << 16) + "\n"]
)
def test_yaml_stops_at_more_than_a_hundred_lines_that_begin_with_a_percent_sign(above: str) -> None:
    allowed = above + "%TAG ! x\n\n" * 100
    reading = source(f"{allowed}%a\n".encode(), yaml=True)
    pieces = -(-len(allowed) // (1 << 16))

    assert "".join(reading.read_text() for _ in range(pieces)) == allowed
    with pytest.raises(Fatal) as refusal:
        reading.read_text()
    problem = refusal.value.problem
    assert problem.detail == "more than 100 lines begin with %: remove those lines"
    assert (problem.line, problem.column) == (201 + above.count("\n"), 1)


@pytest.mark.parametrize("start", ["a", "ab", "abc", "é"])
def test_a_text_shorter_than_a_byte_order_mark_is_read(start: str) -> None:
    assert "".join(iter(source(start.encode()).read_text, "")) == start


def test_progress_counts_the_bytes_that_were_read() -> None:
    data = b"name,email\nJane,jane@example.com\n"
    file = UsersFile(io.BytesIO(data), "users.csv", "csv")

    assert file.progress() == (0, len(data))
    assert len(list(file.reading(Policy()))) == 1
    assert file.progress() == (len(data), len(data))


@pytest.mark.parametrize("name", ["users.yaml", "users.json", "users.jsonl", "users.csv"])
@pytest.mark.parametrize("start", [b"", b"create_users:\n- {name: A, email: a@x.org}\n"])
def test_a_pipe_without_an_end_is_read_up_to_its_first_fatal_problem(
    name: str, start: bytes, tmp_path: Path
) -> None:
    pipe = tmp_path / name
    os.mkfifo(pipe)
    written: list[int] = []

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as stream:
            for piece in (start, *repeat(bytes(MIB), 64)):
                stream.write(piece)
                written.append(len(piece))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    file = UsersFile.open(str(pipe))
    reading = file.reading(Policy())
    list(reading)
    file.close()  # the writer gets BrokenPipeError
    thread.join(30)

    assert reading.problems
    assert sum(written) < 4 * MIB


def test_a_pipe_is_read_again_from_memory() -> None:
    text = b"name,email\n" + b"".join(b"A,a%d@example.com\n" % n for n in range(5_000))
    with io.BytesIO(text) as stream:
        file = UsersFile(CapturedInput(stream), "users.csv", "csv")
        counts = [sum(1 for _ in file.reading(Policy())) for _ in range(2)]
    file.check_unchanged()
    assert counts == [5_000, 5_000]


def test_nothing_is_read_of_a_pipe_before_it_is_needed() -> None:
    with io.BytesIO(b"x" * (1 << 17)) as stream:
        captured = CapturedInput(stream)
        captured.read(stream.tell())
        before = stream.tell()
        assert (captured.read(0), stream.tell()) == (b"", before)


def test_an_open_list_of_json_lines_is_read_no_further_than_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode, sizes = json_scanner._decode_value, []

    def measured(text: str, begin: int = 0) -> tuple[object, int]:
        sizes.append(len(text) - begin)
        return decode(text, begin)

    monkeypatch.setattr(json_scanner, "_decode_value", measured)
    lines = b'{"name": [\n' * 1_000
    reading = UsersFile(io.BytesIO(lines), "users.jsonl", "jsonl").reading(Policy())
    assert (list(reading), len(reading.problems)) == ([], 1_000)
    assert (len(sizes), max(sizes)) == (1_000, len("[\n"))


def test_the_first_problems_by_place_are_kept_and_the_others_counted() -> None:
    lines = [b'{"name": "A", "email": "a@x.org"}'] * 2 + [b"{}"] * 12_500
    file = UsersFile(io.BytesIO(b"\n".join(lines)), "users.jsonl", "jsonl")
    reading = file.reading(Policy())
    assert len(list(reading)) == 2

    problems = reading.problems
    assert [problems[0].code, problems[0].line] == ["email_duplicate", 2]  # it was found last
    assert (len(problems), problems.more) == (MAX_PROBLEMS, 25_001 - MAX_PROBLEMS)
    assert problems[-1].line == 2 + MAX_PROBLEMS // 2


def test_a_place_after_4_gib_of_one_line_is_exact() -> None:
    collector = EntryCollector(ReadingOptions("users.json", Policy()))
    for column in (7, (1 << 32) + 5, 9):
        collector.refuse(Place(1, column), "type", "wrong")
    assert [collector.place_of_email(at).column for at in range(3)] == [7, (1 << 32) + 5, 9]
