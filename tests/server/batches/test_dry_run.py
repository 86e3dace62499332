"""A dry run reports the result of each entry, and changes nothing."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.callers import OPERATOR
from tests.support.run_keys import OnceKey
from tests.support.servers.control_planes import Deployment, NewDeployment, embedded_transport
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import PASSWORD, checked_users, list_accounts

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.batch_run.run_key import CallKey
from anyscale.errors import BatchRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser

NAMES = st.sampled_from("abcdefghij")
USERS = st.lists(
    st.builds(
        AdminCreateUser,
        name=st.sampled_from(["Jane", "Jane", "Jane", " "]),
        email=st.one_of(
            NAMES.map(lambda name: f"{name}@example.com"),
            NAMES.map(lambda name: f"{name.upper()}@Example.com"),
            st.integers(0, 10_000).map(lambda number: f"u{number}@example.com"),
            st.integers(0, 10_000).map(lambda number: f"u{number}@example.com"),
            st.just("no email"),
        ),
        password=st.sampled_from([None, None, "", PASSWORD, "short"]),
    ),
    max_size=12,
)
SOUND = st.lists(
    st.builds(
        AdminCreateUser,
        name=st.just("Jane"),
        email=st.sampled_from("abcdefghijklmnopqrstuvw").map(lambda name: f"{name}@example.com"),
        password=st.sampled_from([None, None, "", PASSWORD]),
    ),
    max_size=12,
    unique_by=lambda user: user.email,
)

Verdict = tuple[object, ...]


def verdict(call: Callable[[], Outcome]) -> Verdict:
    """Run a batch; give its result for each entry."""
    try:
        outcome = call()
    except BatchRefused as refused:
        found = [(p.index, p.field, p.code, p.detail) for p in refused.problems]
        return ("refused", *found)
    skipped = [(conflict.position, conflict.email) for conflict in outcome.skipped_entries()]
    assert outcome.skipped == len(skipped)
    return (outcome.created, outcome.skipped, tuple(skipped))


def set_the_scene(deployment: Deployment, existing: set[str], reserved: set[str]) -> None:
    with closing(deployment.transport()) as transport:
        for name in sorted(existing):
            transport.batches.create(f"existing-{name}", checked_users(name), "fail")
        if reserved - existing:
            batch = transport.batches.open("reserved", "fail")
            for number, name in enumerate(sorted(reserved - existing)):
                transport.batches.reserve(batch.batch_id, number, checked_users(name))


#: what exists, and the users to create
SCENES = given(
    users=st.one_of(USERS, SOUND),
    existing=st.sets(NAMES, max_size=4),
    reserved=st.one_of(st.just(set()), st.sets(NAMES, max_size=3)),
    if_exists=st.sampled_from(["fail", "skip"]),
    abandoned=st.booleans(),
)


@settings(max_examples=150)
@SCENES
def test_a_dry_run_predicts_the_run(
    new_deployment: NewDeployment,
    users: list[AdminCreateUser],
    existing: set[str],
    reserved: set[str],
    if_exists: Literal["fail", "skip"],
    abandoned: bool,
) -> None:
    with new_deployment() as deployment:
        compare(deployment, users, existing, reserved, if_exists, abandoned=abandoned)


# Few examples, since each starts a server.
@settings(max_examples=20)
@SCENES
def test_a_dry_run_over_http_predicts_the_run(
    new_deployment: NewDeployment,
    users: list[AdminCreateUser],
    existing: set[str],
    reserved: set[str],
    if_exists: Literal["fail", "skip"],
    abandoned: bool,
) -> None:
    with new_deployment(over_http=True) as deployment:
        compare(deployment, users, existing, reserved, if_exists, abandoned=abandoned)


def compare(
    deployment: Deployment,
    users: list[AdminCreateUser],
    existing: set[str],
    reserved: set[str],
    if_exists: Literal["fail", "skip"],
    *,
    abandoned: bool,
) -> None:
    set_the_scene(deployment, existing, reserved)
    before = deployment.snapshot()

    with closing(deployment.transport()) as transport:
        run = BatchRun(
            transport,
            ListSource(users),
            OnceKey("key"),
            if_exists=if_exists,
            drop_command=str,
            is_abandoned=lambda _: nullcontext(abandoned),
        )
        foreseen = verdict(run.dry_run)
        transport.close()
        assert deployment.snapshot() == before
        result = verdict(run.run)

        assert foreseen == result
        assert not (abandoned and "email_reserved" in str(result))
        accounts = list_accounts(transport)
        created = result[0] if isinstance(result[0], int) else 0
        assert len(accounts) == len(existing) + created
        left = [
            batch
            for batch in transport.batches.list(open_only=False, before="", limit=100)
            if batch.state == "open"
        ]
        assert len(left) <= (1 if reserved - existing else 0)
    event("refused" if result[0] == "refused" else "created")


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_dry_run_without_a_control_plane_creates_nothing(tmp_path: Path, count: int) -> None:
    users = [AdminCreateUser("Jane", f"u{at}@example.com", PASSWORD) for at in range(count)]
    started: list[str] = []
    key = CallKey(None, lambda: started.append("key"))

    with closing(embedded_transport(tmp_path)) as transport:
        run = BatchRun(transport, ListSource(users), key, if_exists="fail", drop_command=str)
        outcome = run.dry_run()

    assert (outcome.created, outcome.batch, list(outcome.users)) == (count, None, [])
    assert outcome.lines()[0].endswith("would be created.")
    assert started == []
    assert list((tmp_path).glob("data*")) == []


def test_a_run_names_the_taken_emails_of_every_chunk(
    deployment: Deployment,
) -> None:
    set_the_scene(deployment, {"h"}, {"a"})
    users = [AdminCreateUser("Jane", f"{name}@example.com") for name in "abcdefgh"]
    with closing(deployment.transport()) as transport:
        run = BatchRun(
            transport, ListSource(users), OnceKey("key"), if_exists="fail", drop_command=str
        )
        with pytest.raises(BatchRefused) as refused:
            run.run()
    assert [(problem.index, problem.code) for problem in refused.value.problems] == [
        (0, "email_reserved"),
        (7, "email_exists"),
    ]


def test_a_dry_run_over_http_follows_the_key_as_the_run_does(control_plane: ControlPlane) -> None:
    secret = control_plane.tokens.create(OPERATOR, "laptop", "owner", None)
    with serve_in_process(control_plane) as url:
        client = HttpClient(url)

        def call(name: str, *, dry_run: bool) -> HttpResponse:
            users = [{"name": "Jane", "email": f"{name}@example.com"}]
            headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "key"}
            body = {"create_users": users, "dry_run": dry_run}
            return client.request("POST", "/v1/users:batchCreate", body, headers=headers)

        assert call("ann", dry_run=True).json["users"] == []
        created = call("ann", dry_run=False).json
        for dry_run in (False, True):
            assert call("ann", dry_run=dry_run).json == {**created, "replayed": True}
            assert call("joe", dry_run=dry_run).json["code"] == "idempotency_key_reused"
        batch_id = created["batch"]["batch_id"]
        control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)
        for dry_run in (False, True):
            assert call("ann", dry_run=dry_run).json["code"] == "batch_undone"
