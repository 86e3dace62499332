"""The tree of errors."""

import pickle
import re

import pytest
from tests.support.paths import ROOT

from anyscale import errors
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    EmailTaken,
    FeatureUnavailable,
    Overloaded,
    Problem,
    SsoRefused,
    StoreUnavailable,
    Unavailable,
    UserAmbiguous,
)
from anyscale.server.http.errors import title_of

EXAMPLES: list[AnyscaleError] = [
    BatchRefused([Problem(index=0, field="email", code="email_exists", detail="it has one")]),
    BatchUnfinished("cut short", "bat_1"),
    FeatureUnavailable(),
    SsoRefused("nonce", "user:usr_1"),
    StoreUnavailable("full", outcome_unknown=True),
    UserAmbiguous("Ann", ["a@b.io", "c@b.io"]),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: AnyscaleError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_every_error_is_public_and_in_the_documents() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|.*?\| `(\w+)` \|", page, re.MULTILINE)
    classes = [
        kind
        for parent in (AnyscaleError, EmailTaken, Overloaded, Unavailable)
        for kind in parent.__subclasses__()
    ]

    assert {kind.__name__ for kind in classes} == set(errors.__all__) - {"AnyscaleError", "Problem"}
    assert len({kind.code for kind in classes}) == len(classes)
    for kind in classes:
        assert (kind.code, str(kind.status), kind.__name__) in rows
        assert 400 <= kind.status < 600


def test_a_problem_is_a_line_that_an_editor_can_jump_to() -> None:
    problem = Problem(
        index=3, field="email", code="x", detail="is wrong", file="u.yaml", line=17, column=12
    )

    assert str(problem) == "u.yaml:17:12: create_users[3].email: is wrong"
    assert str(Problem(code="x", detail="is wrong")) == "is wrong"
    assert str(Problem(index=3, code="x", detail="is wrong")) == "create_users[3]: is wrong"


@pytest.mark.parametrize(
    ("status", "title"),
    [(404, "Not Found"), (413, "Content Too Large"), (422, "Unprocessable Content")],
)
def test_the_title_of_a_status_does_not_depend_on_the_version_of_python(
    status: int, title: str
) -> None:
    assert title_of(status) == title
