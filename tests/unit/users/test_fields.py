"""A field of an account is in each place that carries accounts: a new one is lost nowhere."""

from collections.abc import Collection

import pytest
from msgspec import Struct, convert

from anyscale.domain.models.exports import ExportedUser
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.validation import FIELDS, CheckedUser
from anyscale.server.http.console.users.download import FIELDS as DOWNLOADED
from anyscale.server.http.console.users.fields import BOXES, TEXTS
from anyscale.server.store.records.users import (
    AccountRecord,
    ExportedRecord,
    ImportedRecord,
    NewUserRecord,
)
from anyscale.user.models import AdminImportUser
from anyscale.users_file.export_formats import EXPORT_FORMATS

#: what a file may say of an account: `AdminImportUser` is documented for callers
OF_FILES = frozenset(AdminImportUser.__struct_fields__)

#: how an account signs in, and its id at applications: no list, form or correction has them
_SIGN_IN = {"password", "password_hash", "password_initial", "sub"}

#: a state, which is the time of the suspension after the import
_STATE = {"suspended"}


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        pytest.param(FIELDS, set(), id="a file"),
        pytest.param(CheckedUser.__struct_fields__, {"password"}, id="a checked user"),
        pytest.param(User.__struct_fields__, _SIGN_IN | _STATE, id="a list and a look-up"),
        pytest.param(UserChanges.__struct_fields__, _SIGN_IN | _STATE, id="a correction"),
        pytest.param((*TEXTS, *BOXES, "email"), _SIGN_IN | _STATE, id="the forms of the console"),
        pytest.param(DOWNLOADED, _SIGN_IN | _STATE, id="a list as a file"),
        pytest.param(ExportedUser.__struct_fields__, {"password"}, id="an export"),
    ],
)
def test_a_field_of_files_is_in_each_place(fields: Collection[str], lacks: set[str]) -> None:
    assert OF_FILES - set(fields) == lacks


@pytest.mark.parametrize(
    "record", [AccountRecord, ExportedRecord], ids=["an account", "a row of an export"]
)
def test_each_field_that_can_be_corrected_is_read_from_the_store(record: type[Struct]) -> None:
    assert set(UserChanges.__struct_fields__) <= set(record.__struct_fields__)


def test_each_field_of_files_is_stored_with_a_new_account() -> None:
    other_names = {
        "suspended": "suspended_at",
        "sub": "subject",
        "password_initial": "password_set_at",
    }
    stored = {*NewUserRecord._fields, *ImportedRecord._fields}
    assert {other_names.get(one, one) for one in OF_FILES} - stored == {"password"}


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_each_field_of_an_export_is_in_its_lines(name: str) -> None:
    texts = {
        field: f"{field}-of-jane"
        for field in ExportedUser.__struct_fields__
        if field not in ("is_sso_user", "suspended", "password_initial")
    }
    texts["password_hash"] = "$argon2id$hash-of-jane"
    user = convert(texts, ExportedUser)  # the other fields have their defaults
    lines = EXPORT_FORMATS[name](with_hashes=True).lines([user])
    # LDIF is for other systems, whose roles are others.
    lost = {field for field, text in texts.items() if text not in lines}
    assert lost == ({"permission_level"} if name == "ldif" else set())
