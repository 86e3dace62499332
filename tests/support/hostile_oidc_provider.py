"""An identity provider that tampers: real keys, real HTTP, and whatever a test lets it say."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

__all__ = ["CLIENT", "Hostile", "Reply", "encoded", "hostile", "key", "signed"]

CLIENT = "musterroll"

#: alg -> a key of its kind, made once since RSA takes long
_MADE: dict[str, Key] = {}


def key(alg: str, kid: str = "first") -> Key:
    """Give a private key for an algorithm; the same for the same name."""
    name = f"{alg} {kid}"
    parameters: Any = {"kid": name, "use": "sig", "alg": alg}
    if name not in _MADE:
        if alg == "ES256":
            _MADE[name] = ECKey.generate_key("P-256", parameters)
        elif alg in ("EdDSA", "Ed25519"):
            _MADE[name] = OKPKey.generate_key("Ed25519", parameters)
        else:
            _MADE[name] = RSAKey.generate_key(2048, parameters)
    return _MADE[name]


def encoded(text: bytes | Mapping[str, Any]) -> str:
    """Give a part of a token."""
    octets = text if isinstance(text, bytes) else json.dumps(text).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def signed(header: Mapping[str, Any], claims: bytes | Mapping[str, Any], by: Key) -> str:
    """Sign a token, whatever it says, with a key of whatever kind the algorithm takes."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing_input = f"{encoded(header)}.{encoded(payload)}"
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{signing_input}.{encoded(algorithm.sign(signing_input.encode(), by))}"


class Reply:
    """An answer over HTTP."""

    def __init__(self, body: bytes | Mapping[str, Any], status: int = 200, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class Hostile:
    """What a provider says. A test changes any of it before, or during, a sign-in.

    Args:
        issuer: its URL.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        #: the paths that were asked for
        self.asked: list[str] = []
        self.metadata: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
        }
        self.keys: list[Mapping[str, Any]] = [self.public(key(alg)) for alg in _ALGORITHMS]
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "RS256 first", "typ": "JWT"}
        self.claims: dict[str, Any] = {}
        #: who signs in place of our own key
        self.signer: Key | None = None
        #: turns the token that would be sent into another one
        self.tampered: Callable[[str], str] = lambda token: token
        self.tokens: dict[str, Any] = {"token_type": "Bearer", "access_token": "an access token"}
        #: path -> what is answered in place of what would be
        self.replies: dict[str, Reply | Callable[[BaseHTTPRequestHandler], None]] = {}

    def begin(self, nonce: str) -> None:
        """Say what is right for a sign-in."""
        now = int(time.time())
        self.claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "jane",
            "email": "jane@example.com",
            "email_verified": True,
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
        }

    def reply(self, path: str) -> "Reply | Callable[[BaseHTTPRequestHandler], None]":
        """Give what is answered."""
        self.asked.append(path)
        if path in self.replies:
            return self.replies[path]
        if path == "/.well-known/openid-configuration":
            return Reply(self.metadata)
        if path == "/keys":
            return Reply({"keys": self.keys})
        token = signed(self.header, self.claims, self.signer or key("RS256"))
        return Reply({"id_token": self.tampered(token), **self.tokens})

    @staticmethod
    def public(private: Key, **more: Any) -> Mapping[str, Any]:
        """Give the half of a key that everybody may know."""
        return {**private.as_dict(private=False), **more}


_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


@contextmanager
def hostile(certificate: Path | None = None) -> Iterator[Hostile]:
    """Have a provider for a while, over TLS if it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = provider.reply(self.path)
            if not isinstance(reply, Reply):
                reply(self)
                return
            self.send_response(reply.status)
            for name, text in {"Content-Length": f"{len(reply.body)}", **reply.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            try:
                self.wfile.write(reply.body)
            except OSError:  # who does not read all of it
                self.close_connection = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        provider = Hostile(f"{scheme}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
