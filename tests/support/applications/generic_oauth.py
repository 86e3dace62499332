"""A program like Grafana: its configuration is an INI file, and it does what that file says.

Grafana itself is not installed for tests. This does the steps of its generic OAuth: the redirect
with state and PKCE, the exchange of the code, and the request for the claims.
"""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

_PATH = "/login/generic_oauth"


class _Program:
    """The settings of a text, and the sign-ins that wait for their code."""

    def __init__(self, text: str) -> None:
        parser = RawConfigParser()
        parser.read_string(text)
        self.settings = dict(parser["auth.generic_oauth"])
        self.callback = parser["server"]["root_url"].rstrip("/") + _PATH
        #: state -> verifier
        self.waiting: dict[str, str] = {}

    def start(self) -> str:
        """Return where a sign-in begins (RFC 7636, 4.3)."""
        state, verifier = secrets.token_urlsafe(), secrets.token_urlsafe(48)
        self.waiting[state] = verifier
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "client_id": self.settings["client_id"],
            "response_type": "code",
            "redirect_uri": self.callback,
            "scope": self.settings["scopes"],
            "state": state,
        }
        if self.settings["use_pkce"] == "true":
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        return f"{self.settings['auth_url']}?{urlencode(query)}"

    def finish(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """Return the claims of the user who came back with a code."""
        form = {
            "grant_type": "authorization_code",
            "code": query["code"][0],
            "redirect_uri": self.callback,
            "code_verifier": self.waiting.pop(query["state"][0]),
        }
        pair = f"{self.settings['client_id']}:{self.settings['client_secret']}"
        basic = base64.b64encode(pair.encode()).decode()
        answer = _request(self.settings["token_url"], f"Basic {basic}", urlencode(form).encode())
        return _request(self.settings["api_url"], f"Bearer {answer['access_token']}")


def _request(url: str, authorization: str, body: bytes | None = None) -> dict[str, Any]:
    headers = {"Authorization": authorization}
    with urlopen(Request(url, body, headers), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@contextmanager
def run_generic_oauth(port: int, text: str) -> Iterator[str]:
    """Run a program with the text of its `grafana.ini`; give the address where users begin."""
    program = _Program(text)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path != _PATH:
                self.send_error(404)
            elif query:
                claims = program.finish(query)
                body = f"<h1>{claims['name']}</h1><p>{claims['groups'][0]}</p>".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            else:
                self.send_response(302)
                self.send_header("Location", program.start())
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{port}{_PATH}"
        server.shutdown()
