"""What to do about a certificate that TLS has refused."""

import os
import ssl

# Codes of OpenSSL's x509_vfy.h: not yet valid, expired; another host name, another IP address; and
# those of X509_V_FLAG_X509_STRICT, which Python sets since 3.13.
_WRONG_TIME = frozenset({9, 10})
_WRONG_HOST = frozenset({62, 64})
_MALFORMED = range(79, 94)


def certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    """Return what to do, as the end of a message that has given the reason."""
    if error.verify_code in _WRONG_TIME:
        return "renew it, or set the clock of this machine"
    if error.verify_code in _WRONG_HOST:
        return "use the host name that the certificate is for"
    if error.verify_code in _MALFORMED:
        return (
            "create it anew with the extensions that RFC 5280 requires, of an authority keyUsage "
            "with keyCertSign: docs/operations/tls.md has the openssl commands"
        )
    if file := os.environ.get("SSL_CERT_FILE"):
        return f"is {file}, which SSL_CERT_FILE names, the file of its certificate authority?"
    return "set SSL_CERT_FILE to the file of your certificate authority"
