"""`anyscale server check` on the identity provider: a real one, and one with wrong responses."""

import socket
import time
from collections.abc import Iterator
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
) -> dict[str, CheckResult]:
    environment = {
        "HOME": str(folder),
        "ANYSCALE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ANYSCALE_SSO_ISSUER": issuer,
        "ANYSCALE_SSO_CLIENT_ID": client_id,
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
    assert "ANYSCALE_SSO_CLIENT_SECRET_FILE" in result.mend
    assert secret not in repr(result)


def test_an_issuer_with_another_slash_is_found(oidc_provider: OidcProvider, tmp_path: Path) -> None:
    results = results_of(f"{oidc_provider.issuer}/", tmp_path)

    assert results["provider.issuer"].status == "fail"
    assert "differs by the slash at the end" in results["provider.issuer"].found
    assert results["provider.issuer"].mend == f'set ANYSCALE_SSO_ISSUER="{oidc_provider.issuer}"'
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
