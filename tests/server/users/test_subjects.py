"""The `sub` of imported users: applications know them by it, and no two accounts have one."""

from contextlib import closing

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import get_account
from tests.support.users import checked_user

from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.openid.claims import user_claims


def user(name: str, sub: str | None) -> CheckedUser:
    return structs.replace(checked_user(f"{name}@example.com"), sub=sub)


def create(control_plane: ControlPlane, *users: CheckedUser, if_exists: str = "fail") -> list[str]:
    """Create a batch; return the emails of its accounts."""
    key = "-".join(f"{one.email}{one.sub}" for one in users)
    created = control_plane.batches.create(OPERATOR, key, list(users), if_exists)
    return [one.email for one in created.users]


def refusals(control_plane: ControlPlane, *users: CheckedUser) -> list[tuple[int | None, str]]:
    with pytest.raises(BatchRefused) as refused:
        create(control_plane, *users)
    return [(one.index, one.code) for one in refused.value.problems]


def test_applications_know_an_imported_user_by_the_sub_of_the_file(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, user("ann", "usr_old"), user("ben", None))
    ann, ben = (get_account(control_plane, f"{name}@example.com") for name in ("ann", "ben"))

    assert user_claims(ann, "openid")["sub"] == "usr_old"
    assert user_claims(ben, "openid")["sub"] == ben.user_id


@pytest.mark.both_stores
def test_a_sub_of_another_account_is_refused(control_plane: ControlPlane) -> None:
    create(control_plane, user("ann", "usr_old"), user("ben", None))
    ben = get_account(control_plane, "ben@example.com").user_id

    users = [user("c", "usr_old"), user("d", ben), user("e", "new"), user("f", "new")]
    assert refusals(control_plane, *users) == [
        (0, "sub_taken"),
        (1, "sub_taken"),
        (3, "sub_taken"),
    ]
    assert create(control_plane, user("e", "new")) == ["e@example.com"]


@pytest.mark.both_stores
def test_a_file_that_is_imported_again_skips_the_accounts_that_exist(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, user("ann", "usr_old"))
    ann = get_account(control_plane, "ann@example.com")

    again = [user("ann", "usr_old"), user("new", "usr_new")]
    assert refusals(control_plane, *again) == [(0, "email_exists")]
    assert create(control_plane, *again, if_exists="skip") == ["new@example.com"]
    assert get_account(control_plane, "ann@example.com") == ann
    assert get_account(control_plane, "new@example.com").sub == "usr_new"


@pytest.mark.both_stores
def test_a_dropped_batch_frees_its_subs_and_an_open_one_keeps_them(
    control_plane: ControlPlane,
) -> None:
    opened = control_plane.batches.open(OPERATOR, "open", "fail")
    control_plane.batches.reserve(OPERATOR, opened.batch_id, 0, [user("ann", "usr_old")])

    assert refusals(control_plane, user("ben", "usr_old")) == [(0, "sub_taken")]
    # Killed before it deleted the rows of the batch.
    with control_plane.store.write() as tx:
        batch = tx.batches.lock(opened.batch_id, exclusive=True)
        assert batch
        tx.batches.set_state(batch.id, "dropped")
    assert create(control_plane, user("ben", "usr_old")) == ["ben@example.com"]
    assert get_account(control_plane, "ben@example.com").sub == "usr_old"


@pytest.mark.both_stores
def test_an_export_is_one_state_of_the_database(store_deployment: Deployment) -> None:
    with closing(store_deployment.control_plane()) as control_plane:
        create(control_plane, user("ann", None))
        with control_plane.exports.whole(with_hashes=True) as export:
            assert export.total == 1
            create(control_plane, user("ben", None))
            (page,) = export.pages()
            assert [one.email for one in page] == ["ann@example.com"]
