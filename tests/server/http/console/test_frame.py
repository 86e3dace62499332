"""The frame of the pages of the console, also around what is not there."""

import re

from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get
from tests.support.servers.http_client import HttpClient

NOBODY = f"/console/users/usr_{'0' * 32}"


def test_every_page_says_who_is_signed_in_and_has_one_search(shared_console: Console) -> None:
    jane = shared_console.browser()
    for path in ("/console", "/console/tokens", "/console/users", NOBODY):
        page = get(jane, path).text
        who = r'<a href="/" title="Your account: jane@example.com">.*>Jane</span></a>'
        assert re.search(who + r'\s*<form method="post" action="/sign-out">', page)
        assert page.count('id="find"') == 1
        assert page.count('aria-label="Console"') == 2, "wide and narrow"
    assert ">Jane</span></a>" in get(jane, "/").text, "the frame of other pages says it too"


def test_what_is_not_there_keeps_the_navigation(shared_console: Console) -> None:
    jane = shared_console.browser()
    for path, heading, link in (
        (NOBODY, "There is no such account", "/console/users"),
        ("/console/batches/bat_0", "There is no such import", "/console/batches"),
        ("/console/applications/app_0", "There is no such application", "/console/applications"),
        ("/console/sync/syn_0", "There is no such update", "/console/sync"),
        ("/console/nonsense", "There is no such page", "/console"),
        ("/console/non/sense?q=1", "There is no such page", "/console"),
    ):
        page = get(jane, path)
        assert page.status == 404
        assert f"<h1>{heading}</h1>" in page.text
        assert 'aria-label="Console"' in page.text
        assert f'<a class="button second" href="{link}">' in page.text
    assert "may have been deleted" in get(jane, NOBODY).text


def test_a_program_gets_a_document_for_what_is_not_there(shared_console: Console) -> None:
    jane = shared_console.browser()
    answer = jane.request("GET", "/console/batches/bat_0/progress", headers={"Accept": "*/*"})
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_who_is_not_signed_in_signs_in_first(shared_console: Console) -> None:
    answer = get(HttpClient(shared_console.url), "/console/non/sense")
    assert (answer.status, answer.headers["location"]) == (
        *(303, "/sign-in?to=%2Fconsole%2Fnon%252Fsense"),
    )
