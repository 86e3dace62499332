"""The rules of a query, in the words of the caller."""

from datetime import UTC, datetime

import pytest

from anyscale.domain.user_query import MAX_QUERY_TEXT, UserQuery, query_fault

TEXTS, ORDER = "looks at emails and names already", "lists the best matches first"


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        (UserQuery(search=""), "search is blank: give at least one character"),
        (UserQuery(search=" \t"), "search is blank: give at least one character"),
        (UserQuery(search="x" * 257), "search must have at most 256 characters, not 257"),
        (UserQuery(email="x" * 300), "email must have at most 256 characters, not 300"),
        (UserQuery(name="\0"), "name has a NUL character, which is part of no name and no email"),
        (UserQuery(role="admin"), "role must be 'owner' or 'collaborator', not 'admin'"),
        (
            UserQuery(search="a", email="b", newest_first=True),
            f"search {TEXTS} and {ORDER}: leave out email and newest_first",
        ),
        (
            UserQuery(email="a", name="b", exact=True),
            "an exact match is of either an email or a name, and of nothing else",
        ),
        (
            UserQuery(email="a", sso=True, exact=True),
            "an exact match is of either an email or a name, and of nothing else",
        ),
    ],
)
def test_a_query_that_makes_no_sense_has_a_fault(query: UserQuery, fault: str) -> None:
    assert query_fault(query) == fault


@pytest.mark.parametrize(
    "query",
    [
        UserQuery(),
        UserQuery(email="", name=""),
        UserQuery(search=f" {'x' * MAX_QUERY_TEXT} ", role="owner", sso=True),
        UserQuery(email="x" * MAX_QUERY_TEXT, name="y", newest_first=True),
        UserQuery(name="a", exact=True),
    ],
)
def test_any_other_query_has_none(query: UserQuery) -> None:
    assert query_fault(query) is None


def test_a_fault_names_the_options_of_the_caller() -> None:
    query = UserQuery(search="a", newest_first=True)
    fault = query_fault(query, "--{}".format)
    assert fault == f"--search {ORDER}: leave out --newest_first"


def test_a_value_of_a_wrong_type_is_no_query() -> None:
    with pytest.raises(TypeError, match="search must be str or None, not int"):
        UserQuery(search=7)  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(TypeError, match="not_since must be date or None, not datetime"):
        UserQuery(not_since=datetime(2026, 11, 30, tzinfo=UTC))
