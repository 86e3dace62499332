"""Certificates that a test trusts or not."""

import subprocess
from pathlib import Path

from tests.support.programs import program


def create_certificate(folder: Path, host: str, days: int) -> Path:
    """Create a file with a key and its self-signed certificate for a host."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-nodes"),
            *("-days", str(days), "-subj", f"/CN={host}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate
