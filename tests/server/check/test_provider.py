"""`anyscale server check` on the identity provider: a real one, and one with wrong responses."""

import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.check_results import check_in_process
from tests.support.sign_in.hostile_oidc_provider import (
    CLIENT_ID,
    HostileProvider,
    ProviderResponse,
    run_hostile_provider,
)
from tests.support.sign_in.oidc_provider import CLIENT_SECRET, OidcProvider

from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


def write_secret(folder: Path, secret: str) -> Path:
    path = folder / "client-secret"
    path.write_text(secret, encoding="ascii")
    path.chmod(0o600)
    return path


def results_of(
    issuer: str,
    folder: Path,
    client_id: str = CLIENT_ID,
    secret: str | None = CLIENT_SECRET,
    port: int = 8000,
    **settings: str,
) -> dict[str, CheckResult]:
    environment = {
        "HOME": str(folder),
        "ANYSCALE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ANYSCALE_SSO_ISSUER": issuer,
        "ANYSCALE_SSO_CLIENT_ID": client_id,
        **settings,
    }
    if secret is not None:
        environment["ANYSCALE_SSO_CLIENT_SECRET_FILE"] = str(write_secret(folder, secret))
    return check_in_process(environment, "provider.")


def statuses(results: dict[str, CheckResult]) -> dict[str, str]:
    return {check.partition(".")[2]: result.status for check, result in results.items()}


def test_a_provider_with_the_right_settings_is_ok(
    oidc_provider: OidcProvider, sso_port: int, tmp_path: Path
) -> None:
    results = results_of(oidc_provider.issuer, tmp_path, port=sso_port)

    assert set(statuses(results).values()) == {"ok"}
    assert "invalid_grant" in results["provider.client"].found
    assert CLIENT_SECRET not in repr(results)


@pytest.mark.parametrize(("client_id", "secret"), [("public", None), ("by-post", CLIENT_SECRET)])
def test_other_kinds_of_clients_are_ok(
    client_id: str, secret: str | None, oidc_provider: OidcProvider, tmp_path: Path
) -> None:
    result = results_of(oidc_provider.issuer, tmp_path, client_id, secret)["provider.client"]

    assert result.status == "ok"


def test_a_redirect_uri_that_is_not_registered_is_found(
    oidc_provider: OidcProvider, tmp_path: Path
) -> None:
    results = results_of(oidc_provider.issuer, tmp_path, port=9)

    assert results["provider.redirect_uri"].status == "fail"
    assert results["provider.redirect_uri"].looked_at == "http://127.0.0.1:9/sso/callback"
    assert results["provider.client"].status == "ok"


@pytest.mark.parametrize(
    ("client_id", "secret"), [("musterroll", "another secret"), ("unknown", CLIENT_SECRET)]
)
def test_a_client_that_the_provider_refuses_is_found(
    client_id: str, secret: str, oidc_provider: OidcProvider, tmp_path: Path
) -> None:
    result = results_of(oidc_provider.issuer, tmp_path, client_id, secret)["provider.client"]

    assert result.status == "fail"
    assert "invalid_client" in result.found
    assert "ANYSCALE_SSO_CLIENT_SECRET_FILE" in result.fix
    assert secret not in repr(result)


def test_an_issuer_with_another_slash_is_found(oidc_provider: OidcProvider, tmp_path: Path) -> None:
    results = results_of(f"{oidc_provider.issuer}/", tmp_path)

    assert results["provider.issuer"].status == "fail"
    assert "differs by the slash at the end" in results["provider.issuer"].found
    assert results["provider.issuer"].fix == f"set ANYSCALE_SSO_ISSUER={oidc_provider.issuer}"
    assert results["provider.endpoints"].status == "not tried"
    assert results["provider.client"].status == "not tried"


def test_a_provider_that_does_not_run_is_found(tmp_path: Path) -> None:
    results = results_of("http://127.0.0.1:9", tmp_path)

    assert results["provider.metadata"].status == "fail"
    assert "cannot be reached" in results["provider.metadata"].found
    del results["provider.metadata"]
    assert set(statuses(results).values()) == {"not tried"}


def test_without_a_provider_nothing_is_tried(tmp_path: Path) -> None:
    results = check_in_process({"HOME": str(tmp_path)}, "provider.")

    assert {(result.status, result.found) for result in results.values()} == {
        ("not tried", "ANYSCALE_SSO_ISSUER is not set")
    }


def test_a_provider_that_never_responds_takes_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.check.network.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        results = results_of(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)

    assert results["provider.metadata"].status == "fail"
    assert "seconds" in results["provider.metadata"].found


@pytest.fixture(scope="module")
def running_provider() -> Iterator[HostileProvider]:
    with run_hostile_provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: HostileProvider) -> Iterator[HostileProvider]:
    """A provider whose responses the test changes."""
    metadata, keys = dict(running_provider.metadata), list(running_provider.keys)
    yield running_provider
    running_provider.metadata, running_provider.keys = metadata, keys
    running_provider.responses.clear()


def test_metadata_that_are_no_metadata_are_found(provider: HostileProvider, tmp_path: Path) -> None:
    path = "/.well-known/openid-configuration"
    for response in (ProviderResponse(b"<html>"), ProviderResponse({}, 404)):
        provider.responses[path] = response
        assert results_of(provider.issuer, tmp_path)["provider.metadata"].status == "fail"


def test_another_issuer_is_named(provider: HostileProvider, tmp_path: Path) -> None:
    provider.metadata = provider.metadata | {"issuer": "https://login.example.com"}

    result = results_of(provider.issuer, tmp_path)["provider.issuer"]

    assert result.status == "fail"
    assert result.found == "the metadata name https://login.example.com"


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("https://a.example/'$(touch$IFS/pwned)';", 1),
        ("https://a.example/;touch;x", 1),
        ('https://a.example"; touch pwned; "', 0),
        ("`touch pwned`", 0),
        ("https://a.example\n touch pwned", 0),
    ],
)
def test_a_suggested_command_runs_nothing_of_the_provider(
    issuer: str, words: int, provider: HostileProvider, tmp_path: Path
) -> None:
    provider.metadata = provider.metadata | {"issuer": issuer}

    result = results_of(provider.issuer, tmp_path)["provider.issuer"]

    assert result.status == "fail"
    suggested = re.findall(r"set (ANYSCALE_SSO_ISSUER=.*)", result.fix, re.DOTALL)
    assert len(suggested) == words
    for command in suggested:
        assert shlex.split(command) == [f"ANYSCALE_SSO_ISSUER={issuer}"]
        done = subprocess.run(
            ["sh", "-c", f'{command}; printf %s "$ANYSCALE_SSO_ISSUER"'],
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == (issuer, "")
    assert words or issuer not in repr(result)


def test_an_endpoint_that_is_not_https_is_found(provider: HostileProvider, tmp_path: Path) -> None:
    endpoint = "http://login.example.com/token"
    provider.metadata = provider.metadata | {"token_endpoint": endpoint}

    result = results_of(provider.issuer, tmp_path)["provider.endpoints"]

    assert result.status == "fail"
    assert endpoint in result.found


def test_a_key_set_without_a_usable_key_is_found(provider: HostileProvider, tmp_path: Path) -> None:
    provider.keys = [{"kty": "oct", "k": "c2VjcmV0"}]
    assert results_of(provider.issuer, tmp_path)["provider.keys"].status == "fail"

    provider.responses["/keys"] = ProviderResponse({}, 500)
    result = results_of(provider.issuer, tmp_path)["provider.keys"]
    assert result.status == "fail"
    assert "HTTP 500" in result.found


def test_algorithms_and_claims_of_the_metadata_are_compared(
    provider: HostileProvider, tmp_path: Path
) -> None:
    algorithms, claims = "id_token_signing_alg_values_supported", "claims_supported"
    results = results_of(provider.issuer, tmp_path)
    assert results["provider.algorithms"].status == "not tried"
    assert results["provider.claims"].status == "not tried"

    provider.metadata = provider.metadata | {algorithms: ["HS256"], claims: ["sub", "email"]}
    results = results_of(provider.issuer, tmp_path)
    assert results["provider.algorithms"].status == "fail"
    assert results["provider.algorithms"].found == "it signs by HS256 only"
    assert results["provider.claims"].status == "warn"
    assert "email_verified" in results["provider.claims"].found

    provider.metadata = provider.metadata | {algorithms: ["HS256", "RS256"]}
    results = results_of(provider.issuer, tmp_path)
    assert results["provider.algorithms"].status == "ok"
    assert results["provider.algorithms"].found.startswith("RS256 are")


def test_a_provider_that_does_not_tell_about_the_client_is_a_warning(
    provider: HostileProvider, tmp_path: Path
) -> None:
    provider.responses["/token"] = ProviderResponse({"error": "<b>"}, 400)
    results = results_of(provider.issuer, tmp_path)

    assert results["provider.client"].status == "warn"
    assert results["provider.redirect_uri"].status == "warn"


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_a_token_endpoint_that_refuses_the_client_is_found(
    error: str, provider: HostileProvider, tmp_path: Path
) -> None:
    provider.responses["/token"] = ProviderResponse({"error": error}, 400)
    assert results_of(provider.issuer, tmp_path)["provider.client"].status == "fail"


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        ("error=login_required", "ok", "asks for a sign-in (login_required)"),
        ("state=x&error=interaction_required", "ok", "asks for a sign-in"),
        ("error=consent_required", "ok", "asks for a sign-in"),
        ("error=account_selection_required", "ok", "asks for a sign-in"),
        ("error=invalid_scope", "fail", "refuses every sign-in: invalid_scope"),
        ("error=unauthorized_client", "fail", "refuses every sign-in: unauthorized_client"),
        ("error=access_denied", "fail", "refuses every sign-in"),
        ("error=%1b%5b31m", "fail", "refuses every sign-in: '\\x1b[31m'"),
        ("error=temporarily_unavailable", "warn", "does not say: temporarily_unavailable"),
        ("code=x", "warn", "it sends a code"),
    ],
)
def test_only_a_missing_user_proves_that_the_provider_accepts_a_sign_in(
    answer: str, status: str, found: str, provider: HostileProvider, tmp_path: Path
) -> None:
    location = f"http://127.0.0.1:8000/sso/callback?{answer}"

    provider.responses["/authorize"] = ProviderResponse({}, 302, Location=location)

    result = results_of(provider.issuer, tmp_path)["provider.redirect_uri"]

    assert result.status == status
    assert found in result.found
    assert ("scopes" in result.fix) == ("scope" in answer)


def test_a_redirect_to_another_path_proves_nothing(
    provider: HostileProvider, tmp_path: Path
) -> None:
    location = "http://127.0.0.1:8000/sso/callback2?error=login_required"
    provider.responses["/authorize"] = ProviderResponse({}, 302, Location=location)

    assert results_of(provider.issuer, tmp_path)["provider.redirect_uri"].status == "warn"


def test_scopes_of_the_metadata_are_compared(provider: HostileProvider, tmp_path: Path) -> None:
    assert results_of(provider.issuer, tmp_path)["provider.scopes"].status == "not tried"

    provider.metadata = provider.metadata | {"scopes_supported": ["openid", "email"]}
    result = results_of(provider.issuer, tmp_path)["provider.scopes"]
    assert result.status == "warn"
    assert result.found.startswith("the metadata do not list profile")

    provider.metadata = provider.metadata | {"scopes_supported": ["profile", "openid", "email"]}
    assert results_of(provider.issuer, tmp_path)["provider.scopes"].status == "ok"


def test_the_second_factor_of_the_provider_is_compared_with_the_metadata(
    provider: HostileProvider, tmp_path: Path
) -> None:
    def look(value: str = "acr:gold", **metadata: list[str]) -> CheckResult:
        provider.metadata = provider.metadata | metadata
        results = results_of(provider.issuer, tmp_path, ANYSCALE_SSO_SECOND_FACTOR=value)
        return results["provider.second_factor"]

    assert (look("").status, look().status) == ("ok", "not tried")
    missing = look(claims_supported=["sub", "amr"])
    assert (missing.status, "the claim acr" in missing.found) == ("warn", True)
    other = look(claims_supported=["acr"], acr_values_supported=["silver"])
    assert (other.status, "silver" in other.found) == ("warn", True)
    assert look(acr_values_supported=["silver", "gold"]).status == "ok"


def test_a_linked_account_proves_the_claims(provider: HostileProvider, tmp_path: Path) -> None:
    provider.metadata = provider.metadata | {"claims_supported": ["sub"]}
    database = tmp_path / ".local" / "share" / "anyscale" / "anyscale.db"
    with closing(ControlPlane(Settings(database=database))) as control_plane:
        with control_plane.store.write() as tx:
            assert tx.identities.link("https://other.example", "s", "usr_a", 1)
        assert results_of(provider.issuer, tmp_path)["provider.claims"].status == "warn"

        with control_plane.store.write() as tx:
            assert tx.identities.link(provider.issuer, "s", "usr_a", 1)
        assert results_of(provider.issuer, tmp_path)["provider.claims"].status == "ok"


def test_a_token_endpoint_that_fails_is_a_warning_with_the_usual_cause(
    provider: HostileProvider, tmp_path: Path
) -> None:
    provider.responses["/token"] = ProviderResponse(b"<h1>Server Error</h1>", 500)
    result = results_of(provider.issuer, tmp_path)["provider.client"]

    assert result.status == "warn"
    assert "HTTP 500 (often: no signing algorithm was chosen for this client" in result.found


@pytest.mark.parametrize(("skew", "status"), [(0, "ok"), (30, "warn"), (90, "fail"), (-90, "fail")])
def test_a_clock_of_the_provider_that_differs_is_found(
    skew: int,
    status: str,
    oidc_provider: OidcProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)

    assert results_of(oidc_provider.issuer, tmp_path)["provider.clock"].status == status
