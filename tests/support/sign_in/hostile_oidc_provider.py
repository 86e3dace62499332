"""An OpenID provider with real keys over real HTTP, of which a test changes any response."""

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

CLIENT_ID = "musterroll"

#: name -> key, cached since an RSA key takes long to generate
_KEYS: dict[str, Key] = {}


def signing_key(alg: str, kid: str = "first") -> Key:
    """Give a private key for an algorithm; the same key for the same arguments."""
    name = f"{alg} {kid}"
    parameters: Any = {"kid": name, "use": "sig", "alg": alg}
    if name not in _KEYS:
        if alg == "ES256":
            _KEYS[name] = ECKey.generate_key("P-256", parameters)
        elif alg in ("EdDSA", "Ed25519"):
            _KEYS[name] = OKPKey.generate_key("Ed25519", parameters)
        else:
            _KEYS[name] = RSAKey.generate_key(2048, parameters)
    return _KEYS[name]


def encode_part(text: bytes | Mapping[str, Any]) -> str:
    """Encode a part of a token."""
    octets = text if isinstance(text, bytes) else json.dumps(text).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def sign_token(header: Mapping[str, Any], claims: bytes | Mapping[str, Any], by: Key) -> str:
    """Sign a token with any header, payload and key."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing_input = f"{encode_part(header)}.{encode_part(payload)}"
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{signing_input}.{encode_part(algorithm.sign(signing_input.encode(), by))}"


class ProviderResponse:
    """A response over HTTP."""

    def __init__(self, body: bytes | Mapping[str, Any], status: int = 200, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class HostileProvider:
    """The state of a provider. A test changes any of it before or during a sign-in.

    Args:
        issuer: its URL.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.reset()

    def reset(self) -> None:
        """Undo all changes."""
        issuer = self.issuer
        #: the paths of the requests so far
        self.requested_paths: list[str] = []
        self.metadata: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
        }
        self.keys: list[Mapping[str, Any]] = [self.public(signing_key(alg)) for alg in _ALGORITHMS]
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "RS256 first", "typ": "JWT"}
        self.claims: dict[str, Any] = {}
        #: signs tokens in place of the published key
        self.signer: Key | None = None
        #: changes the signed token before it is sent
        self.change_token: Callable[[str], str] = lambda token: token
        self.token_response: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": "an access token",
        }
        #: path -> the response in place of the correct one
        self.responses: dict[str, ProviderResponse | Callable[[BaseHTTPRequestHandler], None]] = {}

    def set_claims(self, nonce: str) -> None:
        """Set the correct claims of a sign-in."""
        now = int(time.time())
        self.claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "jane",
            "email": "jane@example.com",
            "email_verified": True,
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
        }

    def response_to(
        self, path: str
    ) -> "ProviderResponse | Callable[[BaseHTTPRequestHandler], None]":
        """Give the response to a request."""
        self.requested_paths.append(path)
        path = path.partition("?")[0]
        if path in self.responses:
            return self.responses[path]
        if path == "/.well-known/openid-configuration":
            return ProviderResponse(self.metadata)
        if path == "/keys":
            return ProviderResponse({"keys": self.keys})
        token = sign_token(self.header, self.claims, self.signer or signing_key("RS256"))
        return ProviderResponse({"id_token": self.change_token(token), **self.token_response})

    @staticmethod
    def public(private: Key, **more: Any) -> Mapping[str, Any]:
        """Give the public half of a key, with other parameters."""
        return {**private.as_dict(private=False), **more}


_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


@contextmanager
def run_hostile_provider(certificate: Path | None = None) -> Iterator[HostileProvider]:
    """Run a provider until the block ends, over TLS if it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            response = provider.response_to(self.path)
            if not isinstance(response, ProviderResponse):
                response(self)
                return
            self.send_response(response.status)
            for name, text in {
                "Content-Length": f"{len(response.body)}",
                **response.headers,
            }.items():
                self.send_header(name, text)
            self.end_headers()
            try:
                self.wfile.write(response.body)
            except OSError:  # the client did not read all of it
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
        provider = HostileProvider(f"{scheme}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
