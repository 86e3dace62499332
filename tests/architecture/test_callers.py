"""No request has the permissions of the operator."""

from tests.support.paths import ROOT

HTTP = ROOT / "src" / "anyscale" / "server" / "http"


def test_no_request_is_one_of_the_operator() -> None:
    for path in HTTP.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "SystemCaller" not in text
        assert "system_caller" not in text
