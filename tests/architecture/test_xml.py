"""What the table of security requirements says of XML."""

import re

from tests.support.paths import SOURCE

_XML = re.compile(r"^\s*(?:from|import) (?:xml|lxml|defusedxml|pyexpat)\b", re.MULTILINE)


def test_only_the_reader_of_workbooks_reads_xml() -> None:
    modules = [path for path in SOURCE.rglob("*.py") if _XML.search(path.read_text("utf-8"))]

    assert [path.name for path in modules] == ["xlsx_package.py"]
