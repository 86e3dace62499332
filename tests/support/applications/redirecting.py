"""An application whose callback redirects to pages on another origin, as sign-in hosts do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.sign_in.openid_provider import CHALLENGE


class RedirectingApplication:
    """The addresses of an application, and what browsers requested there.

    Args:
        host: to which users return, such as `127.0.0.1`.
        port: of that host.
        other_port: of the pages, which are another origin.
    """

    def __init__(self, host: str, port: int, other_port: int) -> None:
        self.callback = f"http://{host}:{port}/cb"
        self.after_logout = f"http://{host}:{port}/bye"
        self.home = f"http://127.0.0.1:{other_port}/home"
        #: the queries with which browsers returned
        self.queries: list[str] = []

    def start_url(self, issuer: str, client_id: str) -> str:
        """Return the address at which a sign-in begins."""
        query = {
            "client_id": client_id,
            "redirect_uri": self.callback,
            "response_type": "code",
            "scope": "openid",
            "state": "the state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{issuer}/oauth2/authorize?{urlencode(query)}"

    def logout_url(self, issuer: str, client_id: str) -> str:
        """Return the address at which a sign-out begins that the user has to confirm."""
        query = {"client_id": client_id, "post_logout_redirect_uri": self.after_logout}
        return f"{issuer}/oauth2/logout?{urlencode(query)}"


@contextmanager
def run_redirecting_application(host: str) -> Iterator[RedirectingApplication]:
    """Serve `/cb` and `/bye` at a host, which redirect to `/home` of another origin."""
    family = AF_INET6 if host.startswith("[") else AF_INET
    found: list[RedirectingApplication] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path in ("/cb", "/bye"):
                found[0].queries.append(parts.query)
                self.send_response(302)
                self.send_header("Location", f"{found[0].home}?from={parts.path[1:]}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = f"<h1>Home</h1><p id=query>{parts.query}</p>".encode()
            self.send_response(200 if parts.path == "/home" else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        address_family = family

    address = "::1" if family == AF_INET6 else "127.0.0.1"
    with (
        Server((address, 0), Handler) as server,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other,
    ):
        found.append(RedirectingApplication(host, server.server_port, other.server_port))
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield found[0]
        server.shutdown()
        other.shutdown()
