"""Strategies for valid users with texts that a format could misread, and writers of the formats."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from unicodedata import normalize

import yaml
from hypothesis import strategies as st

from anyscale.domain.validation import FIELDS, FLAGS, IMPORTED_FIELDS, CheckedUser, Policy, check

Row = dict[str, Any]

# Texts with another meaning in at least one of the formats.
TRAPS = [
    *("null", "Null", "NULL", "~", "nil", "None", "true", "No", "on", "y", "Off", "042731985"),
    *("1e5", "0x1F", "1_000", "12:30:45", "2026-01-02", ".inf", ".NaN", "=", "<<", "-", "- a"),
    *("? a", ": ", "a: b", "a #b", "#a", "&a", "*a", "!a", "!!str a", "%a", "@a", "`a`", "|", ">"),
    *("[a]", "{a: b}", "a, b", "a;b", "'", '"', "it's", 'say "hi"', '"quoted"', "'quoted'", "\\"),
    *(
        "\\n",
        "\\ud800",
        " leading",
        "trailing ",
        "  ",
        "…",
        "日本語",
        "Ωmega",
        "👩‍👩‍👧‍👦",
        "\ufeff",
    ),
    *("é", "e\u0301", "نور", "\u00a0x", "create_users:", "---", "...", "{{x}}", "<b>", "=1+1"),
]

_characters = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"),
    exclude_characters="\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
)
texts = st.sampled_from(TRAPS) | st.text(_characters, max_size=30)
#: one that Django has made
HASH = "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="

_names = texts.filter(lambda text: text.strip() != "")
_passwords = st.none() | texts.map(lambda text: f"{text} qK7#vT9 {text}")
_secrets: st.SearchStrategy[Row] = st.one_of(
    _passwords.map(lambda password: {"password": password, "password_hash": None}),
    st.just({"password": None, "password_hash": HASH}),
)
_domains = st.sampled_from(
    ["example.com", "EXAMPLE.org", "corp.local", "bücher.example", "xn--bcher-kva.at", "例え.jp"]
)
_locals = st.sampled_from(["jane", "O'Neil", "jörg", "用户", "#1", "a+b", "no", "{x}"])


def checked(row: Row, policy: Policy | None = None) -> CheckedUser | None:
    imported = {field: row[field] for field in IMPORTED_FIELDS}
    others = {field: row[field] for field in FIELDS if field not in imported}
    return check(policy or Policy(), **others, imported=imported)


def passwords(rows: list[Row]) -> list[tuple[int, str]]:
    """Return the passwords of rows in the form that is hashed, each with its position."""
    return [
        (position, normalize("NFC", password))
        for position, row in enumerate(rows)
        if (password := row["password"]) and isinstance(password, str)
    ]


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = [
        draw(_secrets)
        | {
            "name": draw(_names),
            "email": f"{draw(_locals)}.{number}@{draw(_domains)}",
            "is_sso_user": draw(st.booleans()),
            "lastname": draw(st.none() | texts),
            "title": draw(st.none() | texts),
            "external_id": draw(st.none() | texts),
            "suspended": draw(st.booleans()),
            "password_initial": draw(st.booleans()),
            "sub": draw(st.none() | st.sampled_from(["null", "0042", "usr_1", "a|b:c@d"])),
        }
        for number in range(draw(st.integers(1, 4)))
    ]
    # Two users have no external id in common, however it is spelt.
    by_id = {normalize("NFC", f"{row['external_id']}"): row for row in rows if row["external_id"]}
    kept = [row for row in rows if not row["external_id"] or row in by_id.values()]
    return [row for row in kept if checked(row)]


#: valid users as plain values; at least one
rows = _rows().filter(bool)

Write = Callable[[list[Row]], str]


def _short(row: Row) -> Row:
    """Leave out the fields with default values."""
    return {key: value for key, value in row.items() if value not in (None, False)}


def _yaml(rows: list[Row], **options: Any) -> str:
    return str(yaml.safe_dump({"create_users": rows}, sort_keys=False, **options))


def _scalar(value: str | bool | None) -> str:
    if isinstance(value, str):
        # YAML allows a byte order mark only as an escape.
        return json.dumps(value) if "\ufeff" in value else "'" + value.replace("'", "''") + "'"
    return "true" if value else "null"


def _quoted(rows: list[Row]) -> str:
    """Write YAML as by hand, with every text in single quotes."""
    written = "create_users:\n"
    for row in rows:
        fields = {key: _scalar(value) for key, value in row.items() if value is not False}
        written += "-\n" + "".join(f"  {key}: {value}\n" for key, value in fields.items())
    return written


def _json(rows: list[Row], **options: Any) -> str:
    return json.dumps({"create_users": rows}, **options)


def _csv(rows: list[Row], **options: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, **options)
    writer.writerow(FIELDS)
    for row in rows:
        cells = row | {field: "true" if row[field] else "" for field in FLAGS}
        writer.writerow(["" if cells[field] is None else cells[field] for field in FIELDS])
    return text.getvalue()


#: The writers of each format: the file's name, and a function that writes it.
WRITERS: dict[str, tuple[str, Write]] = {
    "YAML, block": ("users.yaml", lambda rows: _yaml(rows, allow_unicode=True)),
    "YAML, escaped": ("users.yaml", lambda rows: _yaml(rows, width=20)),
    "YAML, short": ("users.yaml", lambda rows: _yaml([*map(_short, rows)], allow_unicode=True)),
    "YAML, flow": (
        "users.yaml",
        lambda rows: _yaml(rows, allow_unicode=True, default_flow_style=True),
    ),
    "YAML, quoted": ("users.yaml", _quoted),
    "JSON in YAML": (
        "users.yaml",
        lambda rows: _json(rows, indent=2, ensure_ascii=False).replace("\ufeff", "\\ufeff"),
    ),
    "JSON, escaped": ("users.json", _json),
    "JSON, indented": ("users.json", lambda rows: _json(rows, indent=2, ensure_ascii=False)),
    "JSON, minified": (
        "users.json",
        lambda rows: _json([*map(_short, rows)], ensure_ascii=False, separators=(",", ":")),
    ),
    "JSON Lines": (
        "users.jsonl",
        lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    ),
    "JSON Lines, escaped": (
        "users.jsonl",
        lambda rows: "".join(json.dumps(_short(row)) + "\r\n\r\n" for row in rows),
    ),
    "CSV, commas": ("users.csv", _csv),
    "CSV, semicolons": ("users.csv", lambda rows: _csv(rows, delimiter=";", lineterminator="\n")),
    "CSV, tabs": ("users.csv", lambda rows: _csv(rows, delimiter="\t", lineterminator="\n")),
    "CSV, quoted": ("users.csv", lambda rows: _csv(rows, quoting=csv.QUOTE_ALL)),
}


def as_written(name: str, row: Row) -> Row:
    """Return a user as the format can express it: in CSV an empty cell is None."""
    if not name.endswith(".csv"):
        return row
    return {key: None if value == "" else value for key, value in row.items()}
