"""The options of listening sockets."""

import socket
from contextlib import closing

from anyscale.server.main import _listen


def test_a_listening_socket_disables_nagles_algorithm() -> None:
    with closing(_listen("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        with closing(client), closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
