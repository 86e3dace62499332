"""Free ports of this machine, and whether a server responds at one."""

import socket
from http.client import HTTPConnection, HTTPException

__all__ = ["free_port", "responds_at"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def responds_at(port: int, path: str = "/healthz") -> bool:
    """Whether `GET path` on a port of this machine answers 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
