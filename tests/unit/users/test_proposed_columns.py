"""Columns of a table get the fields that their names stand for, or are left out."""

from typing import Any

import pytest

from anyscale.users_file.tables.columns import ColumnChoices, proposed_choices, proposed_fields
from anyscale.users_file.tables.header import column_name, columns_of


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Vorname;Name;E-Mail", ["name", "lastname", "email"]),
        ("Name;Vorname;Nachname;Mail", ["", "name", "lastname", "email"]),
        ("Name;E-Mail;Abteilung", ["name", "email", ""]),
        ("First name;Surname;Work email;Job title", ["name", "lastname", "email", "title"]),
        ("Vorname;Rufname;Nachname;E-Mail", ["name", "", "lastname", "email"]),
        ("email;E-Mail privat;Mail;name", ["email", "", "", "name"]),
        ("Personalnr.;name;email", ["external_id", "name", "email"]),
        # nobody can tell which of two columns has the passwords
        ("name;email;Passwort;Kennwort", ["name", "email", "", ""]),
        ("name;email;Passwort", ["name", "email", "password"]),
        # a near miss is enough for a field that every user has, and never for a secret
        ("nmae;emial;Passport", ["name", "email", ""]),
        ("E-Mail\n(dienstlich);Name", ["email", "name"]),
    ],
)
def test_each_column_gets_the_field_that_its_name_stands_for(
    header: str, fields: list[str]
) -> None:
    assert list(proposed_fields(header.split(";"), {}).values()) == fields


def test_what_the_user_wants_comes_first_as_far_as_the_file_has_the_column() -> None:
    wanted = {"vorname": "", "spitzname": "name", "gone": "title"}
    fields = proposed_fields(["Vorname", "Spitzname", "Nachname", "E-Mail"], wanted)
    assert list(fields.values()) == ["", "name", "lastname", "email"]


def test_columns_that_only_the_server_sets_cannot_be_chosen() -> None:
    fields = proposed_fields(["user_id", "name", "email", "suspended_at", ""], {})
    assert fields == {"name": "name", "email": "email"}


def shown(header: str, *rows: str, **wanted: str) -> list[tuple[Any, ...]]:
    choices = ColumnChoices(wanted)
    choices.read_header(header.split(";"))
    for row in rows:
        choices.add_row(row.split(";"))
    return [(one.header, one.field, list(one.values)) for one in choices.columns]


def test_the_first_values_are_shown_of_columns_that_can_have_no_password() -> None:
    rows = ("Eva;Alt;hush 1;rot", ";Bauer;hush 2;blau", "Ole;Celik;hush 3;gelb", "Pia;Dorn;x;x")
    assert shown("Vorname;Name;Passwort;Farbe", *rows) == [
        ("Vorname", "name", ["Eva", "Ole"]),
        ("Name", "lastname", ["Alt", "Bauer", "Celik"]),
        ("Passwort", "password", []),
        ("Farbe", "", []),
    ]


def test_values_of_a_column_that_only_the_user_names_stay_hidden() -> None:
    assert shown("Zugang;E-Mail", "hush 1;eva@x.org", zugang="name") == [
        ("Zugang", "name", []),
        ("E-Mail", "email", ["eva@x.org"]),
    ]


def test_a_first_row_that_may_be_a_user_is_not_shown() -> None:
    assert shown("Eva;eva@x.org;hush 1", "Ole;ole@x.org;hush 2") == []


#: the headers of other programs, and the choices that read each
EXPORTS = {
    # Google Workspace
    "First Name [Required];Last Name [Required];Email Address [Required];Password [Required];"
    "Org Unit Path [Required];Recovery Email;Employee ID": [
        "Org Unit Path [Required]=",
        "Recovery Email=",
    ],
    # Workday
    "Employee ID;Legal Name - First Name;Legal Name - Last Name;Email - Primary Work;Location": [
        "Location="
    ],
    # BambooHR
    "Employee #;First Name;Last Name;Home Email;Work Email": ["Home Email="],
    # Microsoft Entra
    "userPrincipalName;displayName;surname;mail;givenName": [
        "userPrincipalName=",
        "displayName=",
    ],
    "Personalnummer;Name;Vorname;E-Mail dienstlich;E-Mail": [
        "Name=lastname",
        "E-Mail=",
    ],
}


@pytest.mark.parametrize("header", EXPORTS)
def test_a_header_is_read_with_the_choices_that_are_proposed(header: str) -> None:
    cells = header.split(";")
    choices = proposed_choices(cells, {}, ("name", "email"))
    assert [f"{name}={field}" for name, field in choices.items()] == EXPORTS[header]

    chosen = {column_name(name): field for name, field in choices.items()}
    columns = list(columns_of(cells, chosen, is_header=True))
    assert not [fault for _, fault in columns if fault]
    assert {"name", "lastname", "email"} < {column for column, _ in columns}


def test_a_misspelt_column_is_proposed_as_its_field_and_never_as_a_secret() -> None:
    choices = proposed_choices(["name", "email", "titel2", "lastnmae", "pasword"], {}, ("email",))
    assert choices == {"titel2": "title", "lastnmae": "lastname", "pasword": ""}


def test_without_a_column_of_emails_the_choices_only_leave_columns_out() -> None:
    choices = proposed_choices(["Vorname", "Login", "Abteilung"], {}, ("name", "email"))
    assert choices == {"Login": "", "Abteilung": ""}
