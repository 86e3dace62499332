"""Turn libyaml's messages for common mistakes into messages that say what to change.

They never quote the file: many of these mistakes are a password without quotes.
"""

from yaml.error import Mark, MarkedYAMLError
from yaml.events import ScalarEvent

from anyscale.domain.validation import NAMED_FIELDS, shown
from anyscale.users_file.entry_collector import PlacedFault
from anyscale.users_file.yaml_scalars import special

#: the one key of the file
TOP = "create_users"

_SIGN = "put a text that begins with {} in quotes"
_ESCAPE = "an unknown escape: write \\\\ for a backslash in double quotes, or use single quotes"

_WORDS = {
    "mapping values are not allowed in this context": "a ': ' where none can be: "
    "put a text that holds one in quotes, and check the indentation",
    "mapping keys are not allowed in this context": _SIGN.format("'? '"),
    "block sequence entries are not allowed in this context": "a '- ' where none can be: "
    "put a text that begins with one in quotes, and check the indentation",
    "found character that cannot start any token": "a text cannot begin with this character "
    "(a tab, @, % or `): indent with spaces, and put such a text in quotes",
    "found a tab character that violates indentation": "a tab in the indentation: "
    "indent with spaces",
    "did not find expected node content": "a value is missing here, or a [ or { before is not "
    "closed; " + _SIGN.format(", ] or }"),
    "exceeded maximum nesting depth": "nested too deeply for a users file",
    "did not find expected alphabetic or numeric character": _SIGN.format("* or &"),
    "found undefined tag handle": _SIGN.format("!"),
    "did not find expected tag URI": _SIGN.format("!"),
    "did not find the expected '>'": _SIGN.format("!"),
    "did not find expected whitespace or line break": _SIGN.format("!"),
    "did not find expected comment or line break": _SIGN.format("| or >"),
    "did not find expected key": "the indentation does not fit, or a quote before this place is "
    "not closed, or a text with quotes in it is not in quotes as a whole",
    "did not find expected '-' indicator": "the indentation does not fit the list above: "
    "each user begins with '- ' in the same column",
    "found unknown escape character": _ESCAPE,
    "did not find expected hexdecimal number": _ESCAPE,
    "found invalid Unicode character escape code": "YAML has no escapes in pairs, as JSON has for "
    "emoji: write the character itself, or name the file .json",
    "did not find expected <document start>": "something follows the end of the document: "
    "remove it",
    "found incompatible YAML document": "remove the line that begins with %",
    "found unknown directive name": "remove the line that begins with %",
}

# The place of these mistakes is where something opens, not where the parser has stopped.
_UNCLOSED = {
    "found unexpected end of stream": "the quote that opens here is never closed",
    "found unexpected document indicator": "the quote that opens here is never closed",
    "could not find expected ':'": "a key without ': ' after it",
    "did not find expected ',' or '}'": "the { that opens here is not closed, or a ',' is missing "
    "in it; " + _SIGN.format("{"),
    "did not find expected ',' or ']'": "the [ that opens here is not closed, or a ',' is missing "
    "in it; " + _SIGN.format("["),
}


def explain(error: MarkedYAMLError) -> tuple[str, Mark | None]:
    """Return what is wrong with a text that is not YAML, and where."""
    problem, mark = error.problem or "", error.problem_mark or error.context_mark
    if message := _UNCLOSED.get(problem):
        return message, error.context_mark or mark
    # PyYAML's own parser, which is used without libyaml, quotes the file.
    other = "it cannot be read from here on" if "'" in problem else problem
    return _WORDS.get(problem, other), mark


def wrong_key(key: ScalarEvent) -> tuple[str, str]:
    """Return the code and the message for a key beside the list of users."""
    if what := special(key):
        return "type", what
    if key.value != TOP:
        return "unknown_key", f"unknown key {shown(key.value)}: the file holds one key, '{TOP}'"
    return "duplicate_key", f"the key '{TOP}' is there a second time"


def without_key(fault: PlacedFault) -> PlacedFault:
    """Hide a plain key in braces or without a value: it may be a password or the end of one."""
    if not fault.detail.startswith("unknown key") or fault.meant:
        return fault
    keys = ", ".join(NAMED_FIELDS)
    detail = f"unknown key: the keys are {keys}; put a text that holds ', ' in quotes"
    return fault._replace(detail=detail)
