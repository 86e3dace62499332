"""Each transaction that writes for a caller checks the caller."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

CORE = ROOT / "src" / "anyscale" / "server" / "core"
HTTP = ROOT / "src" / "anyscale" / "server" / "http"

#: the functions of `core.callers` that check a caller in a transaction
CHECKS = {"check_owner", "live_session", "require_owner", "require_session", "share_owner"}

#: What the server does by itself, and what a user does to sign in, who has no session yet.
WITHOUT_CALLER = {
    "audit/entries.py AuditLog.purge",
    "audit/entries.py AuditLog.record_denied",
    "batches/cleanup.py expire_batch",
    "login/password_change.py PasswordChanges.by_link",
    "login/password_login.py PasswordLogin._create_session",
    "login/sessions.py SessionService.purge",
    "login/sessions.py SessionService.touch",
    "openid/signing_keys.py SigningKeys._register",
    "openid/key_rotation.py rotate_keys",
    "openid/tokens.py GrantTokens.exchange",
    "openid/user_grants.py UserGrants.purge",
    "openid/tokens.py GrantTokens.refresh",
    "openid/tokens.py GrantTokens.revoke",
    "server_keys.py server_key",
    "sso/sso_login.py SsoLogin.login",
    "tokens/api_tokens.py TokenService.authenticate",
    "search/index.py SearchIndex._finish",
    "search/index.py SearchIndex._lease_segment",
    "search/index.py SearchIndex._return_lease",
    "search/index.py SearchIndex._write",
}


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def writes(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield each function with a write transaction, and the functions that its block calls."""
    for outer in ast.parse(path.read_text(encoding="utf-8")).body:
        prefix = f"{outer.name}." if isinstance(outer, ast.ClassDef) else ""
        for function in outer.body if isinstance(outer, ast.ClassDef) else [outer]:
            for node in ast.walk(function):
                if isinstance(node, ast.With) and is_write(node):
                    calls = {name_of(one) for one in ast.walk(node) if isinstance(one, ast.Call)}
                    name = getattr(function, "name", "")
                    yield f"{path.relative_to(CORE).as_posix()} {prefix}{name}", calls


def is_write(block: ast.With) -> bool:
    return any(
        isinstance(item.context_expr, ast.Call)
        and ast.unparse(item.context_expr.func).endswith("store.write")
        for item in block.items
    )


def test_each_write_transaction_checks_its_caller_or_has_none() -> None:
    found = [write for path in sorted(CORE.rglob("*.py")) for write in writes(path)]
    assert len(found) > 25
    assert {name for name, calls in found if not calls & CHECKS} == WITHOUT_CALLER


def test_each_write_transaction_of_the_core_is_a_block_that_this_test_sees() -> None:
    mentions = sum(path.read_text("utf-8").count("store.write(") for path in CORE.rglob("*.py"))
    assert mentions == sum(1 for path in CORE.rglob("*.py") for _ in writes(path))


def test_no_request_is_one_of_the_operator() -> None:
    for path in HTTP.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "SystemCaller" not in text
        assert "system_caller" not in text
