"""The models of the SDK."""

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import json

from anyscale.domain.models.users import UserChanges
from anyscale.user.models import AdminCreatedUser, AdminCreateUser, PasswordLink, User

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def jane(**changes: Any) -> AdminCreateUser:
    return AdminCreateUser(**{"name": "Jane", "email": "jane@example.com"} | changes)


def test_the_fields_of_a_user_to_create_are_in_the_order_of_the_contract() -> None:
    user = AdminCreateUser("n", "e@x.io", "secret", True, "l", "t")

    assert list(user.to_dict()) == [
        "name",
        "email",
        "password",
        "is_sso_user",
        "lastname",
        "title",
    ]
    assert list(user.to_dict().values()) == ["n", "e@x.io", "secret", True, "l", "t"]


def test_the_fields_of_a_created_user_are_in_the_order_of_the_contract() -> None:
    user = AdminCreatedUser("usr_1", "n", "e@x.io", NOW, False, None, "t")

    assert user.to_dict() == {
        "user_id": "usr_1",
        "name": "n",
        "email": "e@x.io",
        "created_at": NOW,
        "is_sso_user": False,
        "lastname": None,
        "title": "t",
    }


def test_a_field_that_is_left_out_has_its_default() -> None:
    assert jane().to_dict() == {
        "name": "Jane",
        "email": "jane@example.com",
        "password": None,
        "is_sso_user": False,
        "lastname": None,
        "title": None,
    }


def test_a_dictionary_of_a_user_makes_an_equal_user() -> None:
    user = jane(password="s3cret-word", is_sso_user=True, title="")

    assert AdminCreateUser(**user.to_dict()) == user
    assert hash(AdminCreateUser(**user.to_dict())) == hash(user)
    assert user != jane()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", None, "name must be str, not NoneType"),
        ("name", 1, "name must be str, not int"),
        ("email", b"jane@example.com", "email must be str, not bytes"),
        ("password", 12345678, "password must be str or None, not int"),
        ("is_sso_user", "false", "is_sso_user must be bool, not str"),
        ("is_sso_user", 0, "is_sso_user must be bool, not int"),
        ("is_sso_user", None, "is_sso_user must be bool, not NoneType"),
        ("lastname", [], "lastname must be str or None, not list"),
        ("title", True, "title must be str or None, not bool"),
        (
            "lastname",
            float("nan"),  # of pandas
            "lastname must be str or None, not float: leave out the empty cells of a table",
        ),
    ],
)
def test_a_wrong_type_is_an_error_that_names_the_field(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        jane(**{field: value})

    assert str(caught.value) == message


class Text(str):
    """As numpy's texts, and enums of old style."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


def test_a_subclass_of_str_is_the_text_that_it_is() -> None:
    user = AdminCreateUser(name=Text("A"), email=Text("a@x.org"), password=Text("secret"))
    assert [type(value) for value in (user.name, user.email, user.password)] == [str] * 3
    assert user == AdminCreateUser(name="A", email="a@x.org", password="secret")


def test_a_created_user_is_checked_too() -> None:
    with pytest.raises(TypeError, match="created_at must be datetime, not str"):
        AdminCreatedUser("usr_1", "n", "e@x.io", "today", False, None, None)  # type: ignore[arg-type]  # the mistake that is tested


@pytest.mark.parametrize("arguments", [{}, {"name": "n"}, {"email": "e@x.io"}])
def test_name_and_email_are_required(arguments: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        AdminCreateUser(**arguments)  # type: ignore[arg-type]  # a mapping of the fields


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="nickname"):
        jane(nickname="J")


def test_a_user_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        jane().name = "Joan"  # type: ignore[misc]  # the mistake that is tested


def test_no_representation_of_a_user_shows_the_password() -> None:
    user = jane(password="hunter2-hunter2")

    texts = [repr(user), str(user), f"{user}", repr([user]), repr(user.__rich_repr__())]

    assert not any("hunter2" in text for text in texts)
    assert "password='***'" in repr(user)
    assert "password=None" in repr(jane())


def test_an_account_has_defaults_for_what_it_may_lack() -> None:
    assert User("e@x.io", "n", NOW, "owner", "usr_1").to_dict() == {
        "email": "e@x.io",
        "name": "n",
        "created_at": NOW,
        "permission_level": "owner",
        "user_id": "usr_1",
        "suspended_at": None,
        "lastname": None,
        "title": None,
        "is_sso_user": False,
        "external_id": None,
        "suspended_by_sync": False,
        "last_sign_in_on": None,
    }
    assert User("e@x.io", "n", NOW, "owner", "usr_1", NOW).suspended_at == NOW


def test_changes_have_the_fields_that_are_set_and_the_types_of_a_user() -> None:
    assert UserChanges().to_dict() == {}
    changes = UserChanges(name="Jane", title=None)
    assert changes.to_dict() == {"name": "Jane", "title": None}
    assert json.encode(changes) == b'{"name":"Jane","title":null}'
    for wrong, message in (
        ({"name": None}, "name must be str, not NoneType"),
        ({"title": 7}, "title must be str or None, not int"),
        ({"is_sso_user": 1}, "is_sso_user must be bool, not int"),
    ):
        with pytest.raises(TypeError, match=message):
            UserChanges(**wrong)


def test_a_user_survives_copying_and_pickling() -> None:
    for user in (jane(password="secret-word"), User("e@x.io", "n", NOW, "owner", "usr_1", NOW)):
        assert copy.deepcopy(user) == user
        assert pickle.loads(pickle.dumps(user)) == user


def test_a_link_is_shown_only_by_its_attribute() -> None:
    link = PasswordLink("usr_1", "e@x.io", "https://x.io/set-password#mrl_secret", NOW)
    for text in (repr(link), str([link]), repr(link.__rich_repr__())):
        assert "secret" not in text
        assert "e@x.io" in text
    assert link.to_dict()["url"].endswith("#mrl_secret")
