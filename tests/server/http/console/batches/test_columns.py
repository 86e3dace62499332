"""The check of a file in a browser: what each column is read as, what is wrong, and who exists."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import pytest
from tests.server.http.console.conftest import Console, run_console
from tests.server.http.console.test_batches import (
    create,
    csv,
    new_names,
    open_batch,
    upload,
    wait_for_state,
    words,
)
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient, HttpResponse

from anyscale.domain.models.users import UserChanges
from anyscale.server.http.console.batches.pages import PATH

CHECK = f"{PATH}/check"


@pytest.fixture(scope="module")
def shared_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with run_console(tmp_path_factory.mktemp("columns")) as console:
        yield console


@pytest.fixture(scope="module")
def jane(shared_console: Console) -> HttpClient:
    return shared_console.browser()


def columns_of(page: HttpResponse) -> str:
    """Return what the form of a page sends for the columns."""
    chosen = re.findall(r'<option value="([^"]*)" selected>', selects_of(page))
    left_out = re.findall(r'<option value="([^"]*=)">Leave out</option>', selects_of(page))
    names = {one.rpartition("=")[0]: one for one in [*left_out, *chosen]}
    hidden = re.findall(r'type="hidden" name="columns" value="([^"]*)"', page.text)
    return unescape("\n".join([*names.values(), *hidden]))


def selects_of(page: HttpResponse) -> str:
    return "".join(re.findall(r'<select name="columns".*?</select>', page.text, re.DOTALL))


def rows_of(page: HttpResponse, table: str) -> list[list[str]]:
    """Return the texts of the cells of a table, row by row."""
    body = page.text.partition(f'id="{table}"')[2].partition("<tbody")[2].partition("</tbody>")[0]
    rows = re.findall(
        r"<tr.*?</tr>", re.sub(r"<select.*?</select>", "", body, flags=re.DOTALL), re.DOTALL
    )
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [
        [" ".join(unescape(re.sub("<[^>]+>", " ", cell)).split()) for cell in row] for row in cells
    ]


def summary_of(page: HttpResponse) -> list[str]:
    """Return the problems at the top of a page."""
    box = page.text.partition('class="message problem"')[2].partition("</div>")[0]
    return [unescape(text) for text in re.findall(r"<a [^>]+>(.*?)</a>", box)]


def staff(*names: str) -> bytes:
    """An export of a personnel department, whose headers do not all stand for fields."""
    rows = [f"7;Muster;{name};{name}@batch.example;IT" for name in names]
    return "\n".join(["Kostenstelle;Name;Vorname;E-Mail;Abteilung", *rows, ""]).encode()


def test_columns_without_a_field_are_left_out_and_named(
    shared_console: Console, jane: HttpClient
) -> None:
    (name,) = new_names()
    page = upload(jane, CHECK, staff(name), "staff.csv")
    assert page.status == 200
    assert "staff.csv : 1 user read, nothing is wrong" in words(page)
    assert "Kostenstelle and Abteilung are left out." in words(page)
    assert "Values are shown only of columns of names, emails, titles and numbers" in words(page)
    assert rows_of(page, "columns") == [
        ["Kostenstelle", "", ""],
        ["Name", "Muster", ""],
        ["Vorname", name, ""],
        ["E-Mail", f"{name}@batch.example", ""],
        ["Abteilung", "", ""],
    ]
    proposed = columns_of(page)
    assert proposed.splitlines() == [
        "Kostenstelle=",
        "Name=lastname",
        "Vorname=name",
        "E-Mail=email",
        "Abteilung=",
    ]
    chosen = proposed.replace("Abteilung=", "Abteilung=title")
    again = upload(jane, CHECK, staff(name), "staff.csv", columns=chosen)
    assert columns_of(again) == chosen
    assert "Kostenstelle is left out." in words(again)
    create(jane, staff(name), columns=chosen)
    (user,) = shared_console.control_plane.users.find([f"{name}@batch.example"])
    assert user
    assert (user.name, user.lastname, user.title) == (name, "Muster", "IT")


def test_a_column_that_is_chosen_as_a_password_shows_no_value(jane: HttpClient) -> None:
    data = b"name,email,title\nEva,eva@batch.example,a long 1ne\n"
    assert "a long 1ne" in upload(jane, CHECK, data, "staff.csv").text
    page = upload(jane, CHECK, data, "staff.csv", columns="title=password")
    assert "With a password 1" in words(page)
    assert "a long 1ne" not in page.text


def test_a_file_without_a_byte_order_mark_is_not_read_as_utf16(jane: HttpClient) -> None:
    data = "name,email\nJörg,joerg@batch.example\n".encode("windows-1252")
    page = upload(jane, CHECK, data, "staff.csv", encoding="utf-16")
    assert page.status == 422
    assert "the file is not utf-16 from here on: name another encoding" in words(page)


def test_a_mended_file_may_have_other_columns_than_the_one_before(jane: HttpClient) -> None:
    chosen = columns_of(upload(jane, CHECK, staff("a"), "staff.csv"))
    mended = b"Vorname;Name;E-Mail;Titel\nEva;Alt;eva@batch.example;Dr.\n"
    page = upload(jane, CHECK, mended, "staff.csv", columns=chosen)
    assert page.status == 200
    assert columns_of(page) == "Vorname=name\nName=lastname\nE-Mail=email\nTitel=title"


def test_no_value_is_shown_of_a_column_that_may_have_passwords(jane: HttpClient) -> None:
    data = b"Name;E-Mail;Passwort;Zugang\nEva;eva@batch.example;hush horse 7;hush horse 8\n"
    for chosen in ("", "Zugang=title"):
        page = upload(jane, CHECK, data, columns=chosen)
        assert "Eva" in page.text
        assert "hush" not in page.text.partition('id="first"')[0]


def test_a_first_row_that_may_be_a_user_is_not_shown_as_columns(jane: HttpClient) -> None:
    page = upload(jane, CHECK, b"Eva,eva@batch.example,hush horse 7\n")
    assert page.status == 422
    assert selects_of(page) == ""
    assert "hush" not in page.text
    assert "The first line must name the columns" in words(page).replace("the first", "The first")


@pytest.mark.parametrize(
    ("header", "chosen", "texts"),
    [
        (
            "Anrede;Postfach",
            "",
            ["No column is read as Name or first name: ", "No column is read as Email: "],
        ),
        (
            "Vorname;Rufname;E-Mail",
            "Vorname=name\nRufname=name",
            ["Vorname and Rufname are read as Name or first name: choose one of them."],
        ),
        (
            "name;email;email",
            "",
            ["The file has 2 columns that are named email: rename or remove one."],
        ),
    ],
)
def test_wrong_columns_are_named_at_the_top_and_can_be_chosen(
    jane: HttpClient, header: str, chosen: str, texts: list[str]
) -> None:
    page = upload(jane, CHECK, f"{header}\nEva;Eva;x\n".encode(), columns=chosen)
    assert page.status == 422
    found = summary_of(page)
    assert len(found) == len(texts)
    for text, start in zip(found, texts, strict=True):
        assert text.startswith(start)
    assert 'href="#columns"' in page.text
    assert selects_of(page).count("<select") == len(set(header.split(";")))


def test_problems_have_the_line_the_person_and_the_column(jane: HttpClient) -> None:
    one, two = new_names(2)
    rows = [
        f"Lukas Christ;{one} at batch.example;wolke-ahorn-regen;IT",
        f"Emma Dorn;{one}@batch.example;fluss-turm-nebel;IT",
        f"Emma Engel;{one.upper()}@batch.example;tulpe-birke-hafen;IT",
        f"Quirin Neumann;{two}@batch.example;12345678;IT",
    ]
    data = "\n".join(["Name;E-Mail;Passwort;Abteilung", *rows]).encode()
    page = upload(jane, CHECK, data, "kollegen.csv")
    assert "kollegen.csv : 3 problems in 3 rows" in words(page)
    assert "Invalid email address: 1" in words(page)
    assert "create_users" not in page.text
    first, second, third = rows_of(page, "problems-1")
    assert first[:3] == ["2", "Lukas Christ", "E-Mail"]
    assert second == [
        "4",
        f"Emma Engel {one.upper()}@batch.example",
        "E-Mail",
        "the same as in line 3 (Emma Dorn)",
    ]
    assert third[:3] == ["5", f"{two}@batch.example", "Passwort"]
    text = upload(jane, CHECK, data, "kollegen.csv", **{"as": "text"})
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text.splitlines()[1] == (
        f"line 4 (Emma Engel {one.upper()}@batch.example) E-Mail: the same as in line 3 (Emma Dorn)"
    )


def test_problems_of_json_have_the_character_of_the_line(jane: HttpClient) -> None:
    data = b'[{"name": "Eva", "email": "eva"}, {"name": "Ole", "email": "ole"}]'
    page = upload(jane, CHECK, data, "users.json")
    assert [row[:3] for row in rows_of(page, "problems-1")] == [
        ["1, character 27", "Eva", "Email"],
        ["1, character 60", "Ole", "Email"],
    ]


def test_a_name_that_may_be_the_password_is_not_shown(jane: HttpClient) -> None:
    page = upload(jane, CHECK, b"name,email,password\ncorrect-horse,jane,Jane\n")
    assert "2 problems in 1 row" in words(page)
    assert "correct-horse" not in page.text.partition('id="columns"')[0]


def test_an_account_of_another_person_is_marked_with_its_name(jane: HttpClient) -> None:
    old, new = new_names(2)
    create(jane, csv(old))
    email = f"{old}@batch.example"
    account = f"{old} , the account of {email}, in a new tab"
    for name, shown in ((old.upper(), account), (new, f"{account} another name")):
        page = upload(jane, CHECK, f"name,email\n{name},{email}\n".encode())
        assert rows_of(page, "existing") == [["2", f"{name} {email}", shown]]
        hint = "1 of these accounts has another name: perhaps an email is wrong"
        assert (hint in words(page)) == (name == new)


def test_a_name_in_other_unicode_characters_is_not_another_one(jane: HttpClient) -> None:
    (new,) = new_names(1)
    data = f"name,email\nZo\u00eb,{new}@batch.example\n"
    create(jane, data.encode())
    page = upload(jane, CHECK, data.replace("\u00eb", "e\u0308").encode())
    assert "1 person has an account already" in words(page)
    assert "another name" not in words(page)


def test_people_who_exist_are_named_beside_the_problems_and_can_be_skipped(
    jane: HttpClient,
) -> None:
    old, new = new_names(2)
    create(jane, csv(old))
    wrong = csv(old, new) + b"Zoe,zoe,\n"
    page = upload(jane, CHECK, wrong)
    assert "1 problem in 1 row, and 1 person has an account already" in words(page)
    email = f"{old}@batch.example"
    assert rows_of(page, "existing") == [
        ["2", f"{old} {email}", f"{old} , the account of {email}, in a new tab"]
    ]
    assert f"/console/users?q={quote(email)}" in page.text
    skipping = upload(jane, CHECK, wrong, if_exists="skip")
    assert "1 problem in 1 row" in words(skipping)
    assert "already" not in words(skipping).replace("people who have an account already", "")
    alone = upload(jane, CHECK, csv(old, new))
    assert "users.csv : 1 person has an account already" in words(alone)
    good = upload(jane, CHECK, csv(old, new), if_exists="skip")
    assert "To be created 1 Skipped: they exist 1" in words(good)


def test_a_batch_continues_with_the_columns_of_its_file(
    shared_console: Console, jane: HttpClient
) -> None:
    names = new_names(17)
    lines = [f"{name},{name}@batch.example,correct horse 7,x" for name in names]
    data = "\n".join(["Spitzname,email,password,Raum", *lines]).encode()
    batch_id = open_batch(shared_console, jane, csv(*names, password="correct horse 7"))
    path = f"{PATH}/{batch_id}/continue"
    wrong = upload(jane, path, data, columns="Spitzname=title")
    assert "No column is read as Name or first name" in words(wrong)
    chosen = columns_of(wrong)
    assert chosen == "Spitzname=title\nemail=email\npassword=password\nRaum="
    assert upload(jane, path, data, columns=chosen.replace("=title", "=name")).status == 303
    wait_for_state(jane, batch_id, "published")


def test_choices_are_sent_again_after_a_form_without_a_file(jane: HttpClient) -> None:
    page = upload(jane, CHECK, b"", "", columns="Rufname=name")
    assert columns_of(page) == "Rufname=name"


def test_choices_that_are_too_long_are_refused_and_not_cut(jane: HttpClient) -> None:
    page = upload(jane, CHECK, csv("ann"), "u.csv", columns=f"{'a' * 32_000}=")
    assert (page.status, "more than 32,000 characters" in words(page)) == (400, True)


NAMES = ("Müller", "Jäger", "Groß", "Özil")


def western(*names: str, encoding: str = "windows-1252") -> bytes:
    """A file as German Excel writes it, with an email for each name."""
    rows = [f"Eva;{name};{new_names()[0]}@batch.example" for name in names]
    return "\r\n".join(["Vorname;Name;E-Mail", *rows, ""]).encode(encoding)


def test_letters_that_are_not_utf8_are_asked_for_by_names_in_one_round(
    shared_console: Console, jane: HttpClient
) -> None:
    data = western(*NAMES)
    page = upload(jane, CHECK, data, "staff.csv")
    assert page.status == 200
    assert "4 users read, nothing is wrong" in words(page)
    question = (
        "Are these names right? Eva Müller, Eva Jäger, Eva Groß . If not, choose other letters"
    )
    assert words(page).count(question) == 2  # above the button that creates, and at the choice
    chosen = re.findall(r'<option value="([^"]+)" selected>([^<]+)<', page.text)
    assert ("windows-1252", "Western European (windows-1252)") in chosen
    other = upload(jane, CHECK, data, "staff.csv", encoding="windows-1251")
    assert "Are these names right? Eva Mьller" in words(other)
    create(jane, data, encoding="windows-1252")
    email = data.decode("windows-1252").splitlines()[1].rpartition(";")[2]
    (user,) = shared_console.control_plane.users.find([email])
    assert user
    assert user.lastname == "Müller"


def test_a_file_in_utf8_is_read_as_such_whatever_was_chosen_before(jane: HttpClient) -> None:
    page = upload(jane, CHECK, western("Müller", encoding="utf-8"), encoding="windows-1252")
    assert page.status == 200
    assert "Müller" in words(page)
    assert 'id="encoding"' not in page.text


def test_a_utf8_file_that_was_cut_in_a_letter_is_no_question(jane: HttpClient) -> None:
    cut = western("Müller", encoding="utf-8") + "Eva;Jä".encode()[:-1]
    page = upload(jane, CHECK, cut)
    assert "the file ends in the middle of a character" in words(page)
    assert 'id="encoding"' not in page.text


def test_a_file_that_ends_with_its_only_other_letter_is_read_as_it_is(jane: HttpClient) -> None:
    page = upload(jane, CHECK, b"E-Mail;Name\r\nmaria@batch.example;Jos\xe9")
    assert "the file ends in the middle of a character" not in words(page)
    assert 'id="encoding"' in page.text


def test_problems_of_a_file_in_other_letters_are_named_in_the_same_round(jane: HttpClient) -> None:
    data = western("Müller", "Jäger").replace(b"\r\nEva;J", b"\r\n;J")
    page = upload(jane, CHECK, data)
    assert "1 problem in 1 row" in words(page)
    assert "Are these names right? Eva Müller" in words(page)


def test_an_email_that_was_changed_says_what_to_do_with_its_row(
    shared_console: Console, jane: HttpClient
) -> None:
    create(jane, b"name,email\nMona,mona@batch.example\n")
    control_plane = shared_console.control_plane
    (mona,) = control_plane.users.find(["mona@batch.example"])
    assert mona
    married = UserChanges(email="mona.roe@batch.example")
    control_plane.updates.update(OPERATOR, mona.user_id, married)
    page = upload(jane, CHECK, b"name,email\nMona,mona@batch.example\nNew,new@batch.example\n")
    ((line, person, _, detail),) = rows_of(page, "problems-1")
    assert (line, person) == ("2", "Mona mona@batch.example")
    assert detail.endswith("if it is the same person, delete the row")
