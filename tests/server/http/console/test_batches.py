"""The main job in a browser: check a users file, create its users, continue, drop, undo."""

import itertools
import json
import re
import secrets
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs
from tests.server.http.console.conftest import Console, OpenConsole, run_console
from tests.server.http.pages.requests import BROWSER, PROVIDER, PUBLIC, fields_of, get, send
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.users import checked_users

from anyscale.errors import BatchRefused, StoreUnavailable, TooLarge
from anyscale.server.core.batches import undo as core_undo
from anyscale.server.http.console.batches import links, pages
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.metrics import BATCHES, REFUSALS, UNDONE

MULTIPART = "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def shared_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with run_console(tmp_path_factory.mktemp("batches"), public_url=PUBLIC) as console:
        yield console


@pytest.fixture(scope="module")
def jane(shared_console: Console) -> HttpClient:
    return shared_console.browser()


def multipart(data: bytes, name: str = "users.csv", **fields: str) -> bytes:
    """Return the form of a file, with the boundary `b`."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return b"".join([*parts, head.encode(), data, b"\r\n--b--\r\n"])


def upload(
    client: HttpClient, path: str, data: bytes, name: str = "users.csv", **fields: str
) -> HttpResponse:
    """Send the form of the page, as browsers do with script and without."""
    headers = BROWSER | {"Content-Type": MULTIPART}
    return client.request("POST", path, raw=multipart(data, name, **fields), headers=headers)


def csv(*names: str, password: str = "") -> bytes:
    rows = [f"{name},{name}@batch.example,{password}" for name in names]
    return "\n".join(["name,email,password", *rows, ""]).encode()


def words(page: HttpResponse) -> str:
    text = page.text.partition("<main")[2]
    return " ".join(unescape(re.sub("<[^>]+>", " ", text)).split())


def new_names(count: int = 1) -> list[str]:
    return [f"u{secrets.token_hex(5)}" for _ in range(count)]


def create(client: HttpClient, data: bytes, **fields: str) -> str:
    """Create the users of a file; give the id of the batch."""
    answer = upload(client, PATH, data, **fields)
    assert answer.status == 303, words(answer)
    place: str = answer.headers["location"]
    return place.rpartition("/")[2]


def test_the_form_is_shown(jane: HttpClient) -> None:
    page = get(jane, f"{PATH}/new")
    assert page.status == 200
    assert 'enctype="multipart/form-data"' in page.text


def test_a_check_counts_the_users_and_creates_none(console_with: Console, jane: HttpClient) -> None:
    one, two = new_names(2)
    rows = (
        f"{one},{one}@batch.example,,\n{two},{two}@batch.example,a long 1ne,\nx,x@b.example,,yes\n"
    )
    page = upload(jane, f"{PATH}/check", f"name,email,password,is_sso_user\n{rows}".encode())
    assert page.status == 200
    assert "users.csv : 3 users read, nothing is wrong" in words(page)
    assert "To be created 3" in words(page)
    assert "With a password 1" in words(page)
    assert "By single sign-on 1" in words(page)
    assert "Could not sign in yet 1" in words(page)
    assert "a long 1ne" not in page.text
    assert f"{one}@batch.example" in page.text
    assert console_with.control_plane.users.find([f"{one}@batch.example"]) == [None]


def test_a_domain_that_single_sign_on_refuses_is_a_warning_before_the_users_are_created(
    open_console: OpenConsole,
) -> None:
    provider = structs.replace(PROVIDER, domains=frozenset({"example.org"}))
    jane = open_console(public_url=PUBLIC, provider=provider).browser()
    rows = "Ann,ann@exmaple.org,yes\nBea,bea@example.org,yes\nCid,cid@example.net,\n"
    page = upload(jane, f"{PATH}/check", f"name,email,is_sso_user\n{rows}".encode())
    warned = page.text.partition('<div class="message warning">')[2].partition("</div>")[0]
    assert "single sign-on with an email of <strong>exmaple.org</strong>: check" in warned
    others = upload(jane, f"{PATH}/check", f"name,email,is_sso_user\n{rows[24:]}".encode())
    assert "2 users read, nothing is wrong" in words(others)
    assert "message warning" not in others.text


def test_weak_hashes_of_an_export_of_another_system_need_the_mark(
    console_with: Console, jane: HttpClient
) -> None:
    (name,) = new_names()
    digest = "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8"
    fields = {"password": digest, "last_login": None, "username": name, "is_active": False}
    data = json.dumps([{"model": "auth.user", "fields": fields | {"email": f"{name}@b.example"}}])
    refused = upload(jane, f"{PATH}/check", data.encode(), format="django")
    assert "is a plain SHA1 digest" in words(refused)
    assert "to import it anyway, wrapped in Argon2id, mark it below" in words(refused)
    options = {"format": "django", "accept_weak_hashes": "yes"}
    checked = upload(jane, f"{PATH}/check", data.encode(), **options)
    assert "To be created 1" in words(checked)
    create(jane, data.encode(), **options, key=secrets.token_hex(16))
    with console_with.control_plane.store.read() as tx:
        account = tx.accounts.find(f"{name}@b.example")
    assert account
    assert account.suspended
    assert (account.password_hash or "").startswith("$wrapped$")
    assert digest not in refused.text + checked.text


def test_a_file_without_users_is_refused_by_the_check(jane: HttpClient) -> None:
    page = upload(jane, f"{PATH}/check", b"name,email\n")
    assert page.status == 400
    assert "The file users.csv has no users." in words(page)
    assert "Create 0 accounts" not in words(page)


def test_a_file_creates_its_users_once(console_with: Console, jane: HttpClient) -> None:
    (name,) = new_names()
    batch_id = create(jane, csv(name), key="once-" + name)
    assert create(jane, csv(name), key="once-" + name) == batch_id
    page = get(jane, f"{PATH}/{batch_id}")
    assert "1 account was created" in words(page)
    again = upload(jane, f"{PATH}/{batch_id}/continue", csv("another"))
    assert (again.status, again.headers["location"]) == (303, f"{PATH}/{batch_id}")
    assert "Link for 1 who cannot sign in" in words(page)
    (user,) = console_with.control_plane.users.find([f"{name}@batch.example"])
    assert user
    assert batch_id in get(jane, PATH).text


def test_the_page_of_a_batch_has_a_text_for_its_users(
    console_with: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "correct horse 7"
    batch_id = create(jane, csv(*new_names(), password=password))
    page = get(jane, f"{PATH}/{batch_id}")
    told = words(page).partition("What to tell them")[2].partition("Copy")[0]
    assert f"Its page is {PUBLIC} ." in told
    assert "Sign in with your email and the password that we give you." in told
    (user,) = console_with.control_plane.batches.created(batch_id, "", 1)
    until = user.created_at + timedelta(days=30)
    assert f"before {until:%Y-%m-%d} : the password expires" in told
    assert ("link" in told, "SSO" in told, password in page.text) == (False, False, False)
    monkeypatch.setattr(pages, "datetime", SimpleNamespace(now=lambda _: until))
    expired = words(get(jane, f"{PATH}/{batch_id}"))
    assert "What to tell them" in expired
    assert "password expires" not in expired
    by_link = words(get(jane, f"{PATH}/{create(jane, csv(*new_names()))}"))
    assert "If you get a link from us, open it first" in by_link
    assert "the password that we give you" not in by_link


def test_the_text_for_users_of_a_batch_that_nobody_counted_names_no_password_that_none_has(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_COUNTED", 0)
    without = words(get(jane, f"{PATH}/{create(jane, csv(*new_names()))}"))
    assert "Count how many can sign in" in without
    assert "the password that we give you" not in without
    assert "SSO" not in without
    assert "If you get a link from us, open it first" in without
    page = get(jane, f"{PATH}/{create(jane, csv(*new_names(), password='correct horse 7'))}")
    assert "Sign in with your email and the password that we give you." in words(page)
    assert "If you get a link" not in words(page)
    assert re.search(r'before <time datetime="[^"]+" data-date="long">', page.text)


def test_the_text_for_users_names_sso_if_a_user_has_it(open_console: OpenConsole) -> None:
    client = open_console(provider=PROVIDER, public_url=PUBLIC).browser()
    (name,) = new_names()
    by_sso = f"name,email,is_sso_user\nAnn,{name}@batch.example,true\n".encode()
    told = words(get(client, f"{PATH}/{create(client, by_sso)}"))
    assert 'Choose "Sign in with single sign-on (SSO)".' in unescape(told)
    assert "SSO" not in words(get(client, f"{PATH}/{create(client, csv(*new_names()))}"))


def test_the_page_of_a_batch_counts_unused_links_as_the_overview_does(jane: HttpClient) -> None:
    batch_id = create(jane, csv(*new_names(3)))
    page = f"{PATH}/{batch_id}"
    assert "Cannot sign in 3" in words(get(jane, page))
    send(jane, f"{page}/links", format="csv", newest="0")
    shown = words(get(jane, page))
    assert "By an unused link 3" in shown
    assert "Cannot sign in" not in shown
    assert "who cannot sign in" not in shown
    assert "3 unused links" in shown
    links_page = words(get(jane, f"{page}/links"))
    assert "3 links were created" in links_page
    assert "The 3 links sent before stop working." in links_page


def test_a_link_that_was_sent_before_is_named_before_it_stops_working(
    console_with: Console, jane: HttpClient
) -> None:
    names = new_names(2)
    page = f"{PATH}/{create(jane, csv(*names))}/links"
    (user, _) = console_with.control_plane.users.find([f"{n}@batch.example" for n in names])
    assert user
    send(jane, f"/console/users/{user.user_id}/link", newest="0")
    shown = words(get(jane, page))
    assert "Create links for 1 user?" in shown, "only what is missing"
    assert "1 user of this import has an unused link, which stays as it is" in shown
    overview = words(get(jane, page.removesuffix("/links")))
    assert "Link for 1 who cannot sign in" in overview
    assert "1 unused link" in overview
    again = get(jane, f"{page}?only=linked")
    assert "The link sent before stops working." in words(again)

    sent = fields_of(get(jane, page)) | {"format": "csv"}
    assert f"{names[1]}@" in (file := send(jane, page, **sent).text)
    assert f"{names[0]}@" not in file
    repeated = send(jane, page, **sent)
    assert repeated.headers["location"].endswith("?note=repeated")
    sent = fields_of(get(jane, f"{page}?only=linked")) | {"format": "csv"}
    assert len(send(jane, page, **sent).text.splitlines()) == 3


def test_without_a_public_address_the_text_for_users_has_none(
    open_console: Callable[..., Console],
) -> None:
    client = open_console().browser()
    page = words(get(client, f"{PATH}/{create(client, csv(*new_names()))}"))
    assert "You have an account. If you get a link from us" in page
    assert "ANYSCALE_PUBLIC_URL is not set" in page


def test_a_field_of_the_form_does_not_rename_the_file(jane: HttpClient) -> None:
    field = '\r\n--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nusers.json'
    page = upload(jane, f"{PATH}/check", csv("a") + field.encode(), "users.csv")
    assert "users.csv : 1 user read, nothing is wrong" in words(page)
    assert "The first user. Passwords are not shown." in words(page)


def test_without_script_a_form_does_the_same(jane: HttpClient) -> None:
    data = csv(*new_names(2))
    page = upload(jane, f"{PATH}/check", data, "people.csv", if_exists="skip", key="k1")
    assert "people.csv : 2 users read" in words(page)
    assert "choose the same file again" in words(page)
    answer = upload(jane, PATH, data, "people.csv", if_exists="skip", key=secrets.token_hex(8))
    assert answer.status == 303


@pytest.mark.parametrize("path", [f"{PATH}/check", PATH])
def test_a_form_without_a_file_says_so(jane: HttpClient, path: str) -> None:
    page = upload(jane, path, b"", "")
    assert page.status == 400
    assert "Choose a users file." in words(page)
    assert 'href="#file"' in page.text


def test_a_form_without_parts_is_refused(jane: HttpClient) -> None:
    page = send(jane, f"{PATH}/check", name="users.csv", file="name,email")
    assert (page.status, "This requires a users file" in words(page)) == (400, True)


def test_the_page_of_a_batch_counts_the_suspended_ones_of_the_skipped(
    shared_console: Console, jane: HttpClient
) -> None:
    control_plane, (old, new) = shared_console.control_plane, new_names(2)
    batch_id = create(jane, csv(old))
    path = f"{PATH}/{create(jane, csv(old, new), if_exists='skip')}"
    assert "of the skipped users" not in words(get(jane, path))
    (user,) = control_plane.batches.created(batch_id, "", 1)
    control_plane.lifecycle.suspend(OPERATOR, user.user_id)
    message = "1 of the skipped users is suspended and cannot sign in."
    assert message in words(get(jane, path))
    assert message in words(upload(jane, f"{PATH}/check", csv(old, new), if_exists="skip"))


def announce_large_file(jane: HttpClient, path: str) -> str:
    """Send the headers alone of a file that is too large; return the page that refuses it."""
    connection = jane.connect()
    headers = BROWSER | {
        "Cookie": "; ".join(f"{name}={value}" for name, value in jane.cookies.items()),
        "Content-Type": MULTIPART,
        "Content-Length": str(65 * 1024 * 1024),
    }
    connection.request("POST", path, b"", headers)
    answer = connection.getresponse()
    assert answer.status == 413
    text = answer.read().decode()
    connection.close()
    return text


def test_a_large_file_is_refused_with_the_command_for_it(jane: HttpClient) -> None:
    answer = announce_large_file(jane, f"{PATH}/check")
    assert f"anyscale user batch-create -f FILE --host {PUBLIC}" in answer


def test_a_file_that_is_too_large_to_go_on_needs_the_command_of_its_batch(
    console_with: Console, jane: HttpClient
) -> None:
    batch_id = open_batch(console_with, jane, many())
    counted = REFUSALS.labels(TooLarge.code)
    before = counted._value.get()
    answer = announce_large_file(jane, f"{PATH}/{batch_id}/continue")
    assert counted._value.get() == before + 1
    assert "so it was not imported here" in answer
    assert "run the same command again, on the same machine" in answer
    assert "batch-create" not in answer


@pytest.mark.parametrize("ending", ["csv", "yaml", "json", "jsonl"])
def test_each_template_passes_the_check(jane: HttpClient, ending: str) -> None:
    template = get(jane, f"/console/templates/users.{ending}")
    assert "attachment" in template.headers["content-disposition"]
    page = upload(jane, f"{PATH}/check", template.body, f"users.{ending}")
    assert "3 users read, nothing is wrong" in words(page)


def open_batch(console: Console, jane: HttpClient, data: bytes, *, reserved: bytes = b"") -> str:
    """Open a batch as a run does that was cut short after it reserved its users."""
    import io

    from anyscale.users_file import UsersFile

    caller = console.control_plane.sessions.authenticate(jane.cookies["__Host-session"])
    batches = console.control_plane.batches
    batch = batches.open(caller, f"console-{secrets.token_hex(8)}", "fail")
    users = list(UsersFile(io.BytesIO(reserved or data), "u.csv", "csv").reading(batches.policy))
    batches.reserve(caller, batch.batch_id, 0, users)
    return batch.batch_id


def many(password: str = "correct horse 7") -> bytes:
    """A file that is not a small batch: 17 users with passwords."""
    return csv(*new_names(17), password=password)


def test_an_unfinished_batch_waits_for_its_file(console_with: Console, jane: HttpClient) -> None:
    data = many()
    batch_id = open_batch(console_with, jane, data)
    page = get(jane, f"{PATH}/{batch_id}")
    assert "Choose the same file to continue" in words(page)
    assert "17 users read, 17 passwords to secure" in words(page)
    assert "/batch.js?" in page.text
    assert "Another file is refused, and changes nothing" in words(page)
    assert batch_id in get(jane, f"{PATH}?only=open").text
    answer = upload(jane, f"{PATH}/{batch_id}/continue", data)
    assert answer.status == 303
    wait_for_state(jane, batch_id, "published")
    assert "/batch.js?" not in get(jane, f"{PATH}/{batch_id}").text


def test_what_another_program_may_work_on_is_said(console_with: Console, jane: HttpClient) -> None:
    batch = console_with.control_plane.batches.open(OPERATOR, "of a command", "fail")
    path = f"{PATH}/{batch.batch_id}"
    assert get(jane, f"{path}/progress").json["active"]
    assert "a command, or another server, may be working on it" in words(get(jane, path))
    with console_with.control_plane.store.write() as tx:
        execute_sql(tx, "update batches set touched_at = touched_at - 121000 where state = 'open'")
    assert not get(jane, f"{path}/progress").json["active"]
    console_with.control_plane.batches.drop(OPERATOR, batch.batch_id)


def wait_for_state(client: HttpClient, batch_id: str, state: str) -> None:
    from tests.support.waiting import wait_until

    wait_until(lambda: get(client, f"{PATH}/{batch_id}/progress").json["state"] == state)


def test_another_file_is_refused_by_its_first_different_row(
    console_with: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = many()
    batch_id = open_batch(console_with, jane, data)
    lines = data.split(b"\n")
    bob = b"bob,bob@batch.example,correct horse 7"
    other = b"\n".join([*lines[:3], bob, *lines[4:]])
    page = upload(jane, f"{PATH}/{batch_id}/continue", other)
    reserved = lines[3].decode().split(",")[1]
    assert page.status == 409
    assert (
        "User 3 of users.csv (line 4) differs: it is 'bob@batch.example' instead of "
        f"'{reserved}'." in words(page)
    )
    counted = REFUSALS.labels(BatchRefused.code)
    before = counted._value.get()
    wrong = upload(jane, f"{PATH}/{batch_id}/continue", csv("bob", password="short"))
    assert counted._value.get() == before + 1
    assert wrong.status == 409 or "not the file of this import" in words(wrong)
    shorter = upload(jane, f"{PATH}/{batch_id}/continue", b"\n".join(lines[:10]) + b"\n")
    assert "it is nobody instead of" in words(shorter)
    monkeypatch.setattr(
        batches := console_with.control_plane.batches,
        "policy",
        structs.replace(batches.policy, chunk_users=17),
    )
    batches.reserve(OPERATOR, batch_id, 1, checked_users("z"))
    shorter = upload(jane, f"{PATH}/{batch_id}/continue", data)
    assert "Users.csv is shorter than the file of this import" in words(shorter)
    state = get(jane, f"{PATH}/{batch_id}/progress").json
    assert (state["state"], state["users"], state["due"]) == ("open", 18, 17)
    dropped = BATCHES.labels("dropped")._value.get()
    assert send(jane, f"{PATH}/{batch_id}/drop").headers["location"].endswith("?note=dropped")
    assert BATCHES.labels("dropped")._value.get() == dropped + 1
    assert "no user was created" in words(get(jane, f"{PATH}/{batch_id}?note=dropped"))


def test_the_same_users_with_new_passwords_are_another_file(
    console_with: Console, jane: HttpClient
) -> None:
    data = many()
    batch_id = open_batch(console_with, jane, data)
    hashed = [(4, "correct horse 7"), (5, "correct horse 7")]
    assert console_with.control_plane.batches.hash(OPERATOR, batch_id, hashed) == 2
    page = upload(jane, f"{PATH}/{batch_id}/continue", data.replace(b"horse 7", b"horse 8"))
    assert page.status == 409
    email = data.split(b"\n")[5].decode().split(",")[1]
    assert f"User 5 of users.csv (line 6) differs: '{email}' has another password" in words(page)
    assert upload(jane, f"{PATH}/{batch_id}/continue", data).status == 303
    wait_for_state(jane, batch_id, "published")


def test_links_come_as_one_file_without_formulas(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST", 3)
    names = new_names(7)
    names[0] = f"=2+2{names[0]}"
    emails = [f"{name}@batch.example" for name in names]
    rows = [f"Özgür,Groß,{email}" for email in emails]
    batch_id = create(jane, "\n".join(["name,lastname,email", *rows]).encode())
    assert "Create links for 7 users?" in words(get(jane, f"{PATH}/{batch_id}/links"))
    answer = send(jane, f"{PATH}/{batch_id}/links", format="csv")
    assert answer.body.startswith(BOM_UTF8)  # Excel opens it with its umlauts
    assert [line.rpartition(",http")[0] for line in answer.text[1:].splitlines()[1:]] == [
        f"{email},Özgür,Groß" for email in [f"'{emails[0]}", *emails[1:]]
    ]
    assert answer.text.count(f",{PUBLIC}/set-password#mrl_") == 7


def test_accounts_that_change_while_links_are_created_do_not_break_the_file_off(
    shared_console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST", 1)
    control_plane = shared_console.control_plane
    names = new_names(5)
    batch_id = create(jane, csv(*names))
    found, lifecycle = control_plane.links.without_credentials, control_plane.lifecycle
    changes: dict[str, Callable[..., object]] = {
        names[0]: lifecycle.suspend,
        names[2]: lifecycle.delete,
        names[3]: lambda caller, user_id: lifecycle.set_role(caller, user_id, "owner"),
    }

    def change(*after: Any) -> Any:
        users = found(*after)
        for user in users:
            if act := changes.get(user.name):
                act(OPERATOR, user.user_id)
        return users

    monkeypatch.setattr(control_plane.links, "without_credentials", change)
    answer = send(jane, f"{PATH}/{batch_id}/links", format="csv")
    listed = [line.partition("@")[0] for line in answer.text.splitlines()[1:]]
    assert listed == [names[1], *names[3:]]


def test_skipped_people_are_named_and_get_links_with_the_others(
    shared_console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST", 1)
    without, by_password, suspended, new = new_names(4)
    create(jane, csv(without))
    create(jane, csv(by_password, suspended, password="correct horse 7"))
    control_plane = shared_console.control_plane
    (user,) = control_plane.users.find([f"{suspended}@batch.example"])
    assert user
    control_plane.lifecycle.suspend(OPERATOR, user.user_id)
    batch_id = create(jane, csv(without, by_password, suspended, new), if_exists="skip")
    page = get(jane, f"{PATH}/{batch_id}")
    assert f"/console/users/{user.user_id}" in page.text
    skipped = words(page).partition("Skipped: they had accounts")[2]
    assert "an import changes no names and no other details. Update from a file" in skipped
    for name, state in (
        (without, "Cannot sign in"),
        (by_password, "Password"),
        (suspended, "Suspended"),
    ):
        assert f"{name} {name}@batch.example {state}" in skipped
    assert "Links for 2 who cannot sign in" in words(page)
    question = words(get(jane, f"{PATH}/{batch_id}/links"))
    assert "Create links for 2 users?" in question
    assert "1 of the users was skipped, since the account existed already." in question
    answer = send(jane, f"{PATH}/{batch_id}/links", format="csv", newest="0")
    assert [line.partition(",")[0] for line in answer.text.splitlines()[1:]] == [
        f"{new}@batch.example",
        f"{without}@batch.example",
    ]
    assert "2 unused links" in words(get(jane, f"{PATH}/{batch_id}"))
    again = send(jane, f"{PATH}/{batch_id}/links", format="csv", newest="0")
    assert again.headers["location"].endswith("?note=repeated")


def test_an_undo_shows_first_what_would_go_and_stay(
    console_with: Console, jane: HttpClient
) -> None:
    used, unused = new_names(2)
    batch_id = create(jane, csv(used, unused, password="correct horse 7"))
    stranger = HttpClient(console_with.url)
    send(stranger, "/sign-in", email=f"{used}@batch.example", password="correct horse 7")
    page = get(jane, f"{PATH}/{batch_id}/undo")
    assert "1 account that was never used will be deleted. 1 will stay" in words(page)
    assert f"{used}@batch.example was used since" in words(page)
    assert "Delete 1 account Cancel" in words(page)
    assert f'action="{PATH}/{batch_id}/undo"' in page.text
    for number, before in (("2", "1"), ("1", "2")):  # or one more was used since
        refused = send(jane, f"{PATH}/{batch_id}/undo", number=number, expected=before)
        assert (refused.status, "Type 1, the number" in words(refused)) == (400, True)
    assert send(jane, f"{PATH}/{batch_id}/undo").status == 400
    before = UNDONE._value.get()
    done = send(jane, f"{PATH}/{batch_id}/undo", number="1", expected="1")
    assert UNDONE._value.get() == before + 1
    assert "1 account was deleted" in words(done)
    assert f"{used}@batch.example was used since" in words(done)
    emails = [f"{used}@batch.example", f"{unused}@batch.example"]
    found = console_with.control_plane.users.find(emails)
    assert [user is not None for user in found] == [True, False]
    again = get(jane, f"{PATH}/{batch_id}/undo")
    assert "0 accounts" in words(again)
    entries = console_with.control_plane.audit_log.list(0, 1, newest_first=True)
    assert "0 accounts were deleted" in words(
        send(jane, f"{PATH}/{batch_id}/undo", number="0", expected="0")
    )
    assert console_with.control_plane.audit_log.list(0, 1, newest_first=True) == entries


def test_a_page_whose_import_was_undone_begins_a_new_one(jane: HttpClient) -> None:
    data = csv(*new_names(2))
    first = create(jane, data, key="undone-page")
    send(jane, f"{PATH}/{first}/undo", number="2", expected="2")
    page = upload(jane, PATH, data, key="undone-page")  # after "back" in the browser
    assert page.status == 409
    assert "The import of this page was undone: press the button again" in words(page)
    key = re.search(r'name="key" value="(\w+)"', page.text)
    assert key
    assert create(jane, data, key=key[1]) != first


def test_an_undo_that_the_database_ends_half_way_says_how_many_accounts_it_has_deleted(
    console_with: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_undo, "_SLICE", 1)
    monkeypatch.setattr(core_undo, "_SECONDS_A_CALL", 0)
    batch_id = create(jane, csv(*new_names(3)))
    with monkeypatch.context() as patch:
        fail_at_call(patch, console_with, 3)
        page = send(jane, f"{PATH}/{batch_id}/undo", number="3", expected="3")
    assert page.status == 503
    assert "The disk is full." in words(page)
    assert "2 accounts were deleted Then the undo stopped" in words(page)
    assert "the same undo continues" in words(page)
    again = get(jane, f"{PATH}/{batch_id}/undo")
    assert "1 account that was never used will be deleted" in words(again)
    done = send(jane, f"{PATH}/{batch_id}/undo", number="1", expected="1")
    assert "The import is undone 1 account was deleted No account stayed." in words(done)


def fail_at_call(patch: pytest.MonkeyPatch, console: Console, number: int) -> None:
    """Let a call of an undo that deletes fail, counted from 1, and all that reads a batch later."""
    batches = console.control_plane.batches
    original, calls = batches.undo, itertools.count(1)

    def fail(*_: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    def undo(*arguments: Any, dry_run: bool, **options: Any) -> Any:
        if not dry_run and next(calls) == number:
            patch.setattr(batches, "show", fail)
            fail()
        return original(*arguments, dry_run=dry_run, **options)

    patch.setattr(batches, "undo", undo)


@pytest.fixture
def console_with(shared_console: Console) -> Console:
    return shared_console


def test_markup_and_directions_are_text(jane: HttpClient) -> None:
    names = ["<script>alert(1)</script>", "\u05e9\u05dc"]
    data = "\n".join(["name,email", *(f"{name},x{len(name)}@b.example" for name in names)]).encode()
    page = upload(jane, f"{PATH}/check", data, name="<b>x<b>.csv")
    assert "<script>alert" not in page.text
    assert "&lt;b&gt;x&lt;b&gt;.csv" in page.text


def test_a_key_that_no_page_has_is_replaced(jane: HttpClient) -> None:
    page = upload(jane, f"{PATH}/check", csv(*new_names()), key="../KEY")
    assert re.findall(r'name="key" value="([^"]*)"', page.text) != ["../KEY"]
    kept = re.findall(r'name="key" value="([0-9a-f]{32})"', page.text)
    assert len(kept) == 1


def test_the_list_has_a_next_page_if_there_are_more_batches(
    console_with: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        create(jane, csv(*new_names()))
    count = len(console_with.control_plane.batches.page(open_only=False, before="", limit=1_000))
    monkeypatch.setattr(pages, "_PAGE", count)
    assert "?before=" not in get(jane, PATH).text
    monkeypatch.setattr(pages, "_PAGE", count - 1)
    first = get(jane, PATH).text
    (following,) = re.findall(r"\?before=(bat_\w+)", first)
    shown = set(re.findall(r"/console/batches/(bat_\w+)", first))
    rest = set(
        re.findall(r"/console/batches/(bat_\w+)", get(jane, f"{PATH}?before={following}").text)
    )
    assert (len(shown), len(rest), shown & rest) == (count - 1, 1, set())


def test_accounts_of_a_large_batch_are_counted_on_request(
    jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_COUNTED", 1)
    batch_id = create(jane, csv(*new_names(2)))
    page = get(jane, f"{PATH}/{batch_id}")
    assert "2 accounts were created Count how many can sign in" in words(page)
    assert "Cannot sign in 2" in words(get(jane, f"{PATH}/{batch_id}?counted=yes"))
    monkeypatch.setattr(pages, "_COUNTED", 2)
    assert "Cannot sign in 2" in words(get(jane, f"{PATH}/{batch_id}"))
