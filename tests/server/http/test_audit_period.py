"""GET /v1/audit: the parameters of a period."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.servers.http_client import HttpClient, HttpResponse

List = Callable[[dict[str, object]], HttpResponse]


@pytest.fixture(scope="module")
def list_entries(new_deployment: NewDeployment) -> Iterator[List]:
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        client = HttpClient(deployment.url())
        headers = {"Authorization": f"Bearer {deployment.token}"}
        yield lambda query: client.request("GET", f"/v1/audit?{urlencode(query)}", headers=headers)


def test_a_period_is_of_dates_in_utc_or_of_times(list_entries: List) -> None:
    every = list_entries({}).json["entries"]
    begin = datetime.fromtimestamp(every[0]["at"] / 1000, UTC)
    end = datetime.fromtimestamp(every[-1]["at"] / 1000, UTC) + timedelta(seconds=1)
    for query in (
        {"from": f"{begin:%Y-%m-%d}", "until": f"{end:%Y-%m-%d}"},
        {"from": begin.isoformat(), "until": end.isoformat()},
    ):
        assert list_entries(dict(query)).json["entries"] == every
    assert list_entries({"from": end.isoformat()}).json["entries"] == []
    assert list_entries({"until": begin.isoformat()}).json["entries"] == []


@pytest.mark.parametrize("name", ["from", "until"])
@pytest.mark.parametrize("text", ["1 Oct", "2026-02-30", "9999-12-31x"])
def test_another_text_is_refused(list_entries: List, name: str, text: str) -> None:
    refused = list_entries({name: text})
    assert (refused.status, refused.json["code"]) == (400, "request_invalid")
    assert refused.json["detail"].startswith(f"`{name}` is not a date such as 2026-10-01")
