"""The full name of a user, in which no part of a name is twice."""

import pytest

from anyscale.domain.names import full_name


@pytest.mark.parametrize(
    ("name", "lastname", "shown"),
    [
        ("Jane", "Doe", "Jane Doe"),
        ("Jane", None, "Jane"),
        ("Jane", "", "Jane"),
        ("Jane", "  ", "Jane"),
        ("Jane Doe", None, "Jane Doe"),
        ("Jane Ann", "Doe", "Jane Ann Doe"),
        # A whole name in `name`.
        ("Jane Doe", "Doe", "Jane Doe"),
        ("JANE DOE", "Doe", "JANE DOE"),
        ("Doe, Jane", "Doe", "Doe, Jane"),
        ("Jane Doe", "Jane Doe", "Jane Doe"),
        ("Jane van der Doe", "van der Doe", "Jane van der Doe"),
        ("Jane  Doe", "Doe", "Jane  Doe"),
        ("Jane Strauß", "STRAUSS", "Jane Strauß"),
        ("Ju\u0308rgen Mu\u0308ller", "M\u00fcller", "Ju\u0308rgen Mu\u0308ller"),
        # A double name, of which `name` has one half.
        ("Mia Member", "Member-Example", "Mia Member-Example"),
        ("Mia Ann  Member", "Member-Example", "Mia Ann Member-Example"),
        ("Mia Member", "Member-Example Smith", "Mia Member-Example Smith"),
        # Names that only look alike.
        ("James", "James", "James James"),
        ("James", "James-Smith", "James James-Smith"),
        ("Jane Doe", "Do", "Jane Doe Do"),
        ("Jane Doe", "Doering", "Jane Doe Doering"),
        ("Juan Martin", "Martin Garcia", "Juan Martin Martin Garcia"),
        ("Jane Do", "Doe-Smith", "Jane Do Doe-Smith"),
        ("Jane van Doe", "van Dyk", "Jane van Doe van Dyk"),
        ("कि दो", "का", "कि दो का"),
    ],
)
def test_a_full_name_has_each_part_once(name: str, lastname: str | None, shown: str) -> None:
    assert full_name(name, lastname) == shown
