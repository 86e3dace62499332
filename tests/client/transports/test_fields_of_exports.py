"""What an export says about accounts arrives by each transport, in small batches and in chunks."""

from contextlib import closing

import pytest
from tests.support.run_keys import OnceKey
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import get_account

from anyscale.batch_run.run import BatchRun
from anyscale.errors import BatchRefused
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminImportUser


def run(
    deployment: Deployment, users: list[AdminImportUser], key: str, *, dry_run: bool = False
) -> None:
    with closing(deployment.transport()) as transport:
        source = ListSource(users)
        batch = BatchRun(transport, source, OnceKey(key), if_exists="fail", drop_command=str)
        outcome = batch.dry_run() if dry_run else batch.run()
        assert outcome.created == len(users)


@pytest.mark.parametrize("count", [2, 7])
def test_the_fields_of_an_export_are_stored(deployment: Deployment, count: int) -> None:
    users = [
        AdminImportUser(f"N{at}", f"n{at}@example.com", suspended=at == 1, sub=f"usr_{at}")
        for at in range(count)
    ]
    run(deployment, users, "first")
    with closing(deployment.control_plane()) as control_plane:
        found = [get_account(control_plane, user.email) for user in users]
    assert [one.sub for one in found] == [user.sub for user in users]
    assert [one.suspended for one in found] == [user.suspended for user in users]

    others = [AdminImportUser("X", f"x{user.email}", sub=user.sub) for user in users]
    for dry_run in (True, False):
        with pytest.raises(BatchRefused) as refused:
            run(deployment, others, "second", dry_run=dry_run)
        problems = [(one.index, one.field, one.code) for one in refused.value.problems]
        assert problems == [(at, "sub", "sub_taken") for at in range(count)]
        assert not refused.value.input_is_at_fault


def test_a_sub_that_entries_of_two_chunks_have_is_refused(deployment: Deployment) -> None:
    subs = {0: "same", 6: "same"}
    users = [AdminImportUser(f"N{at}", f"n{at}@example.com", sub=subs.get(at)) for at in range(7)]
    with pytest.raises(BatchRefused) as refused:
        run(deployment, users, "key")
    assert [(one.index, one.code) for one in refused.value.problems] == [(6, "sub_taken")]
