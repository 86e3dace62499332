"""The certificates of the TLS page: clients accept them, with the strict checks of Python 3.13."""

import re
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.paths import ROOT
from tests.support.programs import program
from urllib3.exceptions import SSLError

from anyscale.transport.http.responses import unreachable

HOST = "accounts.example.com"
PAGE = (ROOT / "docs" / "operations" / "tls.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands() -> str:
    """The commands of the page."""
    section = PAGE.partition("## Your own certificate authority")[2]
    (found,) = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(found)


def create(commands: str, folder: Path) -> Path:
    folder.mkdir()
    program("openssl")
    subprocess.run(["sh", "-euc", commands], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def certificates(commands: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands of the page ran."""
    return create(commands, tmp_path_factory.mktemp("certificates") / "folder")


def connect(folder: Path, host: str = HOST, authority: str = "authority.pem") -> None:
    """Make a TLS handshake as Python 3.13 does, without a network."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / f"{HOST}.pem", folder / f"{HOST}.key")
    client = ssl.create_default_context(cafile=folder / authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = server.wrap_bio(there, back, server_side=True)
    connecting = client.wrap_bio(back, there, server_hostname=host)
    for _ in range(3):
        for side in (connecting, accepting):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()


def message(folder: Path, host: str = HOST, authority: str = "authority.pem") -> str:
    """Give the message of a client that refuses the certificate."""
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        connect(folder, host, authority)
    return str(unreachable(f"https://{host}", SSLError(refused.value), outcome_unknown=False))


def test_a_client_with_the_strict_checks_accepts_the_documented_certificates(
    certificates: Path,
) -> None:
    connect(certificates)


def test_the_keys_are_readable_only_by_their_owner(certificates: Path) -> None:
    for key in certificates.glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0


def test_an_authority_without_key_usage_is_refused_with_advice(
    commands: str, tmp_path: Path
) -> None:
    without = commands.replace(" -addext 'keyUsage=critical,keyCertSign,cRLSign'", "")
    assert without != commands

    text = message(create(without, tmp_path / "folder"))

    assert "CA cert does not include key usage extension" in text
    assert "of an authority keyUsage with keyCertSign: docs/operations/tls.md" in text
    assert "SSL_CERT_FILE" not in text


def test_another_host_name_is_refused_with_advice(certificates: Path) -> None:
    text = message(certificates, host="other.example.com")

    assert "use the host name that the certificate is for" in text
    assert "SSL_CERT_FILE" not in text


@pytest.mark.parametrize("code", [9, 10])
def test_a_certificate_at_a_wrong_time_is_refused_with_advice(code: int) -> None:
    # OpenSSL 3.0 cannot create an expired certificate.
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "certificate has expired"

    text = str(unreachable("https://host", SSLError(error), outcome_unknown=False))

    assert "(certificate has expired); renew it, or set the clock of this machine" in text


def test_an_unknown_authority_is_refused_with_the_variable_to_set_or_the_file_that_it_names(
    commands: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = create(commands, tmp_path / "folder") / "authority.pem"

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    text = message(certificates, authority=str(other))
    assert "set SSL_CERT_FILE to the file of your certificate authority" in text
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    text = message(certificates, authority=str(other))
    assert f"is {other}, which SSL_CERT_FILE names, the file of its certificate authority?" in text
