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


def run(deployment: Deployment, users: list[AdminImportUser], key: str) -> None:
    with closing(deployment.transport()) as transport:
        source = ListSource(users)
        batch = BatchRun(transport, source, OnceKey(key), if_exists="fail", drop_command=str)
        assert batch.run().created == len(users)


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
    with pytest.raises(BatchRefused) as refused:
        run(deployment, others, "second")
    assert {one.code for one in refused.value.problems} == {"sub_taken"}
