"""The words of spreadsheets and exports: for the fields, for true and false, and for errors.

A column such as `E-Mail` is taken for its field if no other column of the file has it; else a
message suggests the field.
"""

import re
import unicodedata
from functools import lru_cache

from anyscale.domain.spreadsheets import (
    is_error_value,
    is_shortened_number,
    is_text_formula,
)
from anyscale.domain.validation import FIELDS, NAMED_FIELDS, shown

#: in YAML and CSV, in lower case
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

#: in YAML, without quotes
CLEAR_NULLS = frozenset({"", "~", "null"})

#: in YAML, without quotes: a null or a name, and so a problem
UNCLEAR_NULLS = frozenset({"Null", "NULL"})

#: in YAML, without quotes: what may mean null
NULLS = CLEAR_NULLS | UNCLEAR_NULLS

# What spreadsheets write, and yes and no: German, French, Spanish, Italian, Dutch, Portuguese,
# Polish, Russian.
_TRUE = "wahr vrai verdadero vero waar verdadeiro prawda истина 1 ja oui sí sì si sim tak да"
_FALSE = "falsch faux falso onwaar fałsz ложь 0 nein non nee não nie нет"

#: in CSV, in lower case
CSV_BOOLEANS = (
    BOOLEANS
    | {"": False}
    | dict.fromkeys(_TRUE.split(), True)
    | dict.fromkeys(_FALSE.split(), False)
)

# English, German, French, Spanish, Italian, Dutch, Portuguese, Polish and Russian; `_squashed`
# ignores case, accents, blanks, hyphens, dots, and what is in parentheses or brackets, as in
# `E-Mail (work)`, and reads `#` as `no`.
_FIRST_NAMES = (
    "first name, given name, forename, legal first name, legal name first name, vorname, rufname, "
    "prénom, nombre, nome, voornaam, imię, имя"
)
_OTHER_NAMES = {
    "name": f"{_FIRST_NAMES}, full name, display name",
    "email": "mail, email address, mail address, work email, business email, "
    "primary email, primary work email, email primary work, dienstliche e-mail, e-mail dienstlich, "
    "e-mail geschäftlich, geschäftliche e-mail, "
    " email-adresse, mailadresse, courriel, "
    "adresse e-mail, adresse mail, correo, correo electrónico, indirizzo e-mail, e-mailadres, "
    "endereço de e-mail, adres e-mail, почта, электронная почта, адрес электронной почты",
    "password": "initial password, pwd, passwort, kennwort, mot de passe, contraseña, wachtwoord, "
    "senha, hasło, пароль",
    "is_sso_user": "sso, is sso, sso user, uses sso, single sign-on",
    "lastname": "surname, family name, legal last name, legal name last name, nachname, "
    "familienname, zuname, nom, nom de famille, "
    "apellido, apellidos, cognome, achternaam, sobrenome, apelido, nazwisko, фамилия",
    "title": "job title, position, titel, jobtitel, funktion, stelle, stellenbezeichnung, "
    "berufsbezeichnung, "
    "titre, fonction, poste, título, cargo, puesto, titolo, functie, stanowisko, должность",
    "external_id": "employee id, employee no, employee number, emp id, emp no, staff id, "
    "staff no, staff number, personnel no, personnel number, payroll number, worker id, "
    "personalnr, personalnummer, pers-nr, persnr, pnr, mitarbeiter-id, mitarbeiternr, "
    "mitarbeiternummer, matricule, numéro de matricule, numéro d'employé, número de empleado, "
    "legajo, matricola, numero matricola, personeelsnummer, número de funcionário, "
    "numer pracownika, numer ewidencyjny, табельный номер",
}

#: characters of the longest key that can be a misspelt field
_LONGEST_NEAR = 32

#: characters of a symbol, and letters of a word, that are too short for a password anywhere
_SYMBOL, _WORD = 3, 5


def _squashed(key: str) -> str:
    text = unicodedata.normalize("NFD", key.casefold().replace("#", "no"))
    return re.sub(r"\(.*?\)|\[.*?\]|[\W_]", "", text)


_FIRST_NAME_WORDS = frozenset(map(_squashed, _FIRST_NAMES.split(",")))

_FIELD_OF = {_squashed(field): field for field in FIELDS} | {
    _squashed(name): field for field, names in _OTHER_NAMES.items() for name in names.split(",")
}


def field_of(key: str) -> str | None:
    """Return the field that a key names in one of the languages or spellings, or None."""
    return _FIELD_OF.get(_squashed(key)) if len(key) <= _LONGEST_NEAR else None


def is_first_name(key: str) -> bool:
    """Return whether a key other than `name` is a word for the first name."""
    return len(key) <= _LONGEST_NEAR and _squashed(key) in _FIRST_NAME_WORDS


def meant_field(key: str) -> str | None:
    """Return the field that an unknown key probably stands for, or None."""
    return _near_field(key) if len(key) <= _LONGEST_NEAR else None


@lru_cache(maxsize=256)  # the same mistake is often in every entry
def _near_field(key: str) -> str | None:
    from difflib import get_close_matches

    return field_of(key) or next(iter(get_close_matches(key.strip().lower(), FIELDS, 1)), None)


def unknown_key(key: str) -> str:
    """Return the message for an unknown key, with the field that it probably stands for."""
    meant = meant_field(key)
    mend = f"did you mean {meant!r}?" if meant else f"the keys are {', '.join(NAMED_FIELDS)}"
    return f"unknown key {shown(key)}: {mend}"


def damaged_cell(cell: str) -> str | None:
    """Return the message for a cell that has not the text that a spreadsheet shows, or None.

    The message shows neither a number nor a text, which may stand for a password.
    """
    if is_error_value(cell):
        return f"{cell} is an error value of a spreadsheet: correct the formula, or write the text"
    if is_shortened_number(cell):
        return "looks like a number that a spreadsheet has shortened: format the column as text"
    if is_text_formula(cell):
        return 'is a formula for a spreadsheet (="..."): write only the text that is in its quotes'
    return None


def boolean_fault(value: str, mend: str, password: str | None) -> str:
    """Return the message for a wrong value of `is_sso_user`, which shows the value if it is safe.

    The value may be the password, if columns are swapped. It is shown if it is a short symbol or
    word, and if the password is not a boolean.
    """
    is_word = value.isalpha() and len(value) <= _WORD
    is_swapped = (password or "?").strip().lower() in CSV_BOOLEANS
    is_known = value.lower() in {"", *BOOLEANS}  # and only its quotes are wrong
    is_safe = (is_word or len(value) <= _SYMBOL) and not is_swapped and not is_known
    return f"must be true or false{f', not {shown(value)}' if is_safe else ''}: {mend}"
