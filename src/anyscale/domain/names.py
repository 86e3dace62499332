"""The name of a user as pages and messages show it."""

import unicodedata


def full_name(name: str, lastname: str | None) -> str:
    """Join first and last name, without the part of the last name that `name` already has.

    Many files have a whole name in `name`: `Jane Doe` and `Doe` become `Jane Doe`, and `Mia Member`
    and `Member-Example` become `Mia Member-Example`. A single word is a first name in any case:
    `James` and `James` become `James James`.
    """
    words, last = _words(name), _words(lastname or "")
    if not last:
        return name
    if len(words) > 1:
        if any(words[at : at + len(last)] == last for at in range(len(words))):
            return name
        if last[0].startswith(f"{words[-1]}-"):
            name = name.rsplit(maxsplit=1)[0]
    return f"{name} {lastname}"


def _words(text: str) -> list[str]:
    return unicodedata.normalize("NFC", text).casefold().replace(",", " ").split()
