"""Texts that commands write for people."""

from types import SimpleNamespace

import pytest

from anyscale.cli.audit.list_verify import _line
from anyscale.cli.formats import write_record, write_records
from anyscale.domain.audit_chain import AuditEntry


def test_numbers_have_separators_in_text_and_none_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = SimpleNamespace(users=1_234_567, is_sso=True, skipped=0)
    fields = ("users", "is_sso", "skipped")

    write_records([record], fields, "text")
    write_record(record, fields, "text")
    write_records([record], fields, "csv")

    assert capsys.readouterr().out.splitlines() == [
        *("USERS      IS SSO  SKIPPED", "1,234,567  true    0"),
        *("users: 1,234,567", "is sso: true", "skipped: 0"),
        *("users,is_sso,skipped", "1234567,true,0"),
    ]


def test_the_number_of_an_audit_entry_is_written_as_after_reads_it() -> None:
    entry = AuditEntry(12_345, 0, "system", "batch.published", "bat_1", "{}", "0" * 64)
    assert _line(entry).number == "12345"
