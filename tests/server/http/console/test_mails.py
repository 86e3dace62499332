"""Links by mail on the pages of the console, and what is due, sent and failed."""

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from urllib.parse import urlencode

import pytest
from tests.server.http.console.conftest import Console, OpenConsole, run_console
from tests.server.http.console.test_batches import create, upload, words
from tests.server.http.pages.requests import PUBLIC, create_owner, get, send
from tests.support.callers import OPERATOR
from tests.support.mail.relays import TestRelay, running_relay
from tests.support.mail.sending import mails
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import get_account, let_time_pass
from tests.support.users import checked_users
from tests.support.waiting import wait_until

from anyscale.server.core.mail.kinds import KINDS
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.console.mails import KINDS_IN_WORDS

#: a relay that does not listen, so that all mails stay due, one each minute
NO_RELAY = MailSettings(
    host="127.0.0.1", port=1, tls="none", sender="accounts@example.com", per_minute=1
)

CHOICE = 'name="format" type="radio" value="mail"'
BUTTON = 'name="format" value="mail"'


@pytest.fixture(scope="module")
def relay() -> Iterator[TestRelay]:
    with running_relay() as relay:
        yield relay


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, relay: TestRelay) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("mails")
    with run_console(folder, mail=relay.settings(), public_url=PUBLIC) as console:
        yield console


@pytest.fixture(scope="module")
def due(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console whose mails stay due."""
    folder = tmp_path_factory.mktemp("due")
    with run_console(folder, mail=NO_RELAY, public_url=PUBLIC) as console:
        yield console


def new_batch(console: Console, *names: str) -> str:
    """Create accounts without passwords; return the path of their batch."""
    users = checked_users(*names)
    batch = console.control_plane.batches.create(OPERATOR, names[0], users, "fail").batch
    return f"/console/batches/{batch.batch_id}"


def new_user(console: Console, name: str) -> str:
    """Create an account without a password; return its id."""
    new_batch(console, name)
    return get_account(console.control_plane, f"{name}@example.com").user_id


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def mail_form(page: HttpResponse) -> dict[str, str]:
    """Return the hidden fields of the form of a page that has the button, with the button's."""
    [form] = [
        one
        for one in re.findall("<form.*?</form>", page.text, re.DOTALL)
        if BUTTON in one or CHOICE in one
    ]
    fields = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in fields} | {"format": "mail"}


def sent(relay: TestRelay, *names: str) -> list[int]:
    return [len(relay.to(f"{name}@example.com")) for name in names]


def is_done(console: Console, path: str) -> bool:
    """Whether all mails to a batch were sent."""
    found = console.control_plane.mail_queue.list_mailings(batch_id=id_of(path))
    return not any(mailing.due for mailing in found)


def test_every_kind_of_mail_has_words() -> None:
    assert KINDS_IN_WORDS.keys() == KINDS.keys()


def test_the_users_of_a_batch_get_links_once_though_the_form_arrives_twice(
    console: Console, relay: TestRelay
) -> None:
    path, jane = new_batch(console, "ada", "ben"), console.browser()
    form = mail_form(get(jane, f"{path}/links"))
    for _ in range(2):
        answer = send(jane, f"{path}/links", **form)
        assert answer.headers["location"] == f"{path}?note=mailed"
    wait_until(lambda: "2 of 2" in words(get(jane, path)))
    again = send(jane, f"{path}/links", **form)  # all were sent by now
    assert "get links by mail" in words(get(jane, str(again.headers["location"])))
    assert sent(relay, "ada", "ben") == [1, 1]
    assert len(console.control_plane.mail_queue.list_mailings(batch_id=id_of(path))) == 1
    page = words(get(jane, path))
    assert "Sent 2 of 2 0" in page
    assert "Stop" not in page


@pytest.mark.parametrize(("only", "mailed"), [("", "gus"), ("linked", "fay")])
def test_the_chosen_of_a_batch_get_a_link_once_though_the_form_arrives_twice(
    console: Console, relay: TestRelay, only: str, mailed: str
) -> None:
    """Somebody of the batch has an unused link: the rest is chosen, or only those who have one."""
    names = [f"{name}{only}" for name in ("fay", "gus")]
    path, jane, plane = new_batch(console, *names), console.browser(), console.control_plane
    plane.links.create(OPERATOR, [get_account(plane, f"{names[0]}@example.com").user_id])
    form = mail_form(get(jane, f"{path}/links?only={only}"))
    assert send(jane, f"{path}/links", **form).headers["location"] == f"{path}?note=mailed"
    wait_until(lambda: sent(relay, f"{mailed}{only}") == [1] and not mails(plane))
    again = send(jane, f"{path}/links", **form)
    assert "This form arrived twice" in words(get(jane, str(again.headers["location"])))
    assert (sorted(sent(relay, *names)), mails(plane)) == ([0, 1], [])


def test_a_page_that_shows_the_first_request_sends_a_second_one(
    console: Console, relay: TestRelay
) -> None:
    path, jane = new_batch(console, "cleo"), console.browser()
    for count in (1, 2):
        send(jane, f"{path}/links", **mail_form(get(jane, f"{path}/links")))
        # Not when the relay has it: the sender notes that only then.
        wait_until(partial(is_done, console, path))
        assert sent(relay, "cleo") == [count]


def test_selected_users_get_links_once_though_the_form_arrives_twice(
    console: Console, relay: TestRelay
) -> None:
    user_id, jane = new_user(console, "dora"), console.browser()
    page = f"/console/users/links?{urlencode({'user_id': user_id})}"
    form = mail_form(get(jane, page))
    answer = send(jane, "/console/users/links", **form)
    assert "1 account will get a link by mail." in words(get(jane, str(answer.headers["location"])))
    wait_until(lambda: sent(relay, "dora") == [1] and not mails(console.control_plane))
    answer = send(jane, "/console/users/links", **form)
    assert "This form arrived twice" in words(get(jane, str(answer.headers["location"])))
    assert (sent(relay, "dora"), mails(console.control_plane)) == ([1], [])


def test_all_that_match_get_links_by_mail_but_no_owner(console: Console, relay: TestRelay) -> None:
    jane, path = console.browser(), "/console/users/links?q=match&all=yes"
    new_batch(console, "match1", "match2", "match3")
    create_owner(console.control_plane, "match3")
    answer = send(jane, path, **mail_form(get(jane, path)))
    assert answer.headers["location"] == "/console/users?q=match&note=mailed&number=2"
    wait_until(
        lambda: sent(relay, "match1", "match2") == [1, 1] and not mails(console.control_plane)
    )
    assert sent(relay, "match3") == [0]


def test_a_user_gets_a_link_once_though_the_form_arrives_twice(
    console: Console, relay: TestRelay
) -> None:
    path, jane = f"/console/users/{new_user(console, 'emil')}", console.browser()
    form = mail_form(get(jane, path))
    answer = send(jane, f"{path}/link", **form)
    assert "A link is sent to the user by mail." in words(get(jane, answer.headers["location"]))
    wait_until(lambda: sent(relay, "emil") == [1] and not mails(console.control_plane))
    answer = send(jane, f"{path}/link", **form)
    assert "A link was created after you opened" in words(get(jane, answer.headers["location"]))
    assert (sent(relay, "emil"), mails(console.control_plane)) == ([1], [])


def test_all_users_who_cannot_sign_in_get_links_once_though_the_form_arrives_twice(
    console: Console, relay: TestRelay
) -> None:
    new_batch(console, "ralf")
    new_batch(console, "suse")
    jane, path = console.browser(), "/console/mails/new"
    for state, is_offered in (("none", True), ("link", True), ("password", False), ("", False)):
        assert (path in get(jane, f"/console/users?state={state}").text) == is_offered
    with console.control_plane.store.read() as tx:
        kinds = tx.users.count()
    count = kinds["none"] + kinds.get("link", 0)  # with those of the tests before
    assert f"Send links to {count} users by mail?" in words(get(jane, path))
    for _ in range(2):
        answer = send(jane, path, mailing="")
        assert answer.headers["location"] == "/console/mails?note=mailed"
    queue = console.control_plane.mail_queue
    wait_until(lambda: not any(one.due for one in queue.list_mailings(batch_id="")))
    send(jane, path, mailing="")  # all were sent by now
    assert sent(relay, "ralf", "suse") == [1, 1]
    [mailing] = queue.list_mailings(batch_id="")
    assert mailing.total == count


def test_what_a_relay_refuses_is_shown_in_its_own_words_and_escaped(
    console: Console, relay: TestRelay
) -> None:
    path, jane = new_batch(console, "fritz", "gil"), console.browser()
    relay.on_recipient = lambda one: "550 no <b>such</b> user" if one[0] == "f" else None
    send(jane, f"{path}/links", **mail_form(get(jane, f"{path}/links")))
    wait_until(lambda: "1 of 2 1" in words(get(jane, path)))
    user = get_account(console.control_plane, "fritz@example.com").user_id
    for page in (path, f"/console/users/{user}", "/console/mails"):
        text = get(jane, page).text
        assert "550 no &lt;b&gt;such&lt;/b&gt; user" in text
        assert "Link to set a password" in text


def test_a_mailing_is_stopped_and_says_before_how_long_it_takes(due: Console) -> None:
    path, jane = new_batch(due, "hal", "ida", "jim"), due.browser()
    send(jane, f"{path}/links", **mail_form(get(jane, f"{path}/links")))
    # The notice that jane became an owner is due before them.
    assert "Being sent 3 due, about 5 min left" in words(get(jane, path))
    assert "Links are being mailed to them: 0 of 3" in words(get(jane, f"{path}/links"))
    page = get(jane, "/console/mails")
    [action] = re.findall(r'action="(/console/mails/\w+/stop)"', page.text)
    assert path in page.text
    for _ in range(2):  # a double click
        answer = send(jane, action)
        assert answer.headers["location"] == "/console/mails?note=stopped"
    page = get(jane, "/console/mails?note=stopped")
    assert "The mailing is stopped." in words(page)
    assert "/stop" not in page.text
    assert not any(mail.mailing_id for mail in mails(due.control_plane))


def test_while_links_are_sent_to_all_the_page_offers_no_second_mailing(due: Console) -> None:
    new_batch(due, "tom")
    jane, path = due.browser(), "/console/mails/new"
    send(jane, path, mailing="")
    page = get(jane, path)
    assert "Links are being sent 0 of" in words(page)
    assert f'action="{path}"' not in page.text
    [mailing] = due.control_plane.mail_queue.list_mailings(batch_id="")
    send(jane, f"/console/mails/{mailing.mailing_id}/stop")
    assert f'action="{path}"' in get(jane, path).text


def test_a_mail_to_one_user_is_shown_as_due(due: Console) -> None:
    path, jane = f"/console/users/{new_user(due, 'kim')}", due.browser()
    send(jane, f"{path}/link", **mail_form(get(jane, path)))
    for page in (path, "/console/mails"):
        assert "Link to set a password Due" in words(get(jane, page))


def test_a_mail_to_the_chosen_of_a_batch_that_is_due_is_due_once(due: Console) -> None:
    path, jane, plane = new_batch(due, "eli", "ivo"), due.browser(), due.control_plane
    plane.links.create(OPERATOR, [get_account(plane, "eli@example.com").user_id])
    form, before = mail_form(get(jane, f"{path}/links")), len(mails(plane))
    for _ in range(2):
        send(jane, f"{path}/links", **form)
        assert len(mails(plane)) == before + 1


def test_the_requests_that_wait_are_counted(due: Console) -> None:
    assert "for a new password" not in words(get(due.browser(), "/console/mails"))
    for number in range(3):  # the second one is looked up after four minutes
        due.control_plane.password_resets.request(f"{number}@example.org", "192.0.2.1")
    page = words(get(due.browser(), "/console/mails"))
    assert re.search("[23] requests for a new password wait: the server has not looked up", page)


def test_a_mailing_that_does_not_exist_cannot_be_stopped(due: Console) -> None:
    assert send(due.browser(), "/console/mails/mlg_none/stop").status == 404


def test_a_sign_in_that_is_too_old_sends_nothing(due: Console) -> None:
    user_id, jane = new_user(due, "lea"), due.browser()
    batch = f"/console/batches/{get_account(due.control_plane, 'lea@example.com').batch_id}"
    let_time_pass(due.control_plane, 16 * MINUTE_MS)
    of_user = f"/console/users/{user_id}/link"
    before = due.control_plane.mail_queue.list_mailings()
    for path in (f"{batch}/links", "/console/users/links", of_user, "/console/mails/new"):
        answer = send(jane, path, format="mail", user_id=user_id)
        assert answer.headers["location"].startswith("/sign-in-again?to=")
    assert due.control_plane.mail_queue.list_of(user_id) == []
    assert due.control_plane.mail_queue.list_mailings() == before


def test_a_collaborator_sends_nothing(due: Console) -> None:
    user_id, bob = new_user(due, "mia"), due.browser("bob")
    before = due.control_plane.mail_queue.list_mailings()
    for path in (f"/console/users/{user_id}/link", "/console/mails/new"):
        assert send(bob, path, format="mail").status == 403
    assert due.control_plane.mail_queue.list_of(user_id) == []
    assert due.control_plane.mail_queue.list_mailings() == before


def refused(client: HttpClient, path: str, **form: str) -> str:
    answer = send(client, path, format="mail", **form)
    assert answer.status == 409
    return words(answer)


def test_without_a_relay_nothing_is_offered_and_a_form_is_refused(
    open_console: OpenConsole,
) -> None:
    console = open_console(public_url=PUBLIC)
    batch, jane = new_batch(console, "nora"), console.browser()
    user_id = get_account(console.control_plane, "nora@example.com").user_id
    user = f"/console/users/{user_id}"
    links = f"/console/users/links?user_id={user_id}"
    for page in (f"{batch}/links", links, user, batch, f"{PATH}/new", "/console/users?state=none"):
        text = get(jane, page).text
        assert "mail_links" not in text
        assert BUTTON not in text
        assert CHOICE not in text
        assert "/console/mails" not in text
    for path in (f"{batch}/links", "/console/users/links", f"{user}/link", "/console/mails/new"):
        assert "No mail relay is set" in refused(jane, path, user_id=user_id)
    assert console.control_plane.mail_queue.list_mailings() == []


def test_a_file_whose_form_says_so_mails_links_to_those_who_could_not_sign_in(
    console: Console, relay: TestRelay
) -> None:
    jane = console.browser()
    data = b"name,email,password\nOle,ole@example.com,\nPia,pia@example.com,a long 1nitial one\n"
    page = upload(jane, f"{PATH}/check", data, mail_links="yes")
    assert re.search(r'name="mail_links"[^>]* checked', page.text)
    batch = create(jane, data, mail_links="yes")
    wait_until(lambda: "1 of 1" in words(get(jane, f"{PATH}/{batch}")))
    assert sent(relay, "ole", "pia") == [1, 0]


def test_a_file_is_not_mailed_after_a_sign_in_that_is_too_old_and_the_form_stays(
    due: Console,
) -> None:
    jane = due.browser()
    let_time_pass(due.control_plane, 16 * MINUTE_MS)
    page = upload(jane, PATH, b"name,email\nQuin,quin@example.com\n", mail_links="yes")
    assert page.status == 400
    assert "Links by mail need a sign-in of the last 15 minutes" in words(page)
    assert re.search(r'name="mail_links"[^>]* checked', page.text)
    assert due.control_plane.users.find(["quin@example.com"]) == [None]
