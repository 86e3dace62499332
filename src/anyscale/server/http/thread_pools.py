"""The kinds of work of a server, each with threads of its own."""

import os

from anyscale.server.http.bounded_pool import BoundedThreadPool
from anyscale.server.http.login.gathering import Gathering
from anyscale.server.http.login.others import Others

__all__ = ["ThreadPools"]


class ThreadPools:
    """The kinds of work of a control plane; none of them waits for another.

    Args:
        others: who asks for anything but signing in.
    """

    def __init__(self, others: Others) -> None:
        cores = os.cpu_count() or 1
        #: people who sign in by password, whose hashes are checked by cores that are free
        self.entering = Gathering(
            "entering", 2 * cores, 64, shares=cores, others=others.were_lately
        )
        #: whose token or session it is
        self.asking = BoundedThreadPool("asking", 4, 128)
        #: look-ups and lists, and the short writes of people about themselves
        self.reading = BoundedThreadPool("reading", 8, 64)
        #: pages of users, and what opens, publishes or drops a batch
        self.writing = BoundedThreadPool("writing", 4, 12)
        #: pages of passwords: one is hashed by all cores, and the next one is ready
        self.hashing = BoundedThreadPool("hashing", 2, 4)
        #: People's other ways in: while one half of them hashes, the other asks the database.
        self.signing = BoundedThreadPool("signing", 2 * cores, 64)
        #: the identity provider, which may hang: its callers alone then wait
        self.provider = BoundedThreadPool("provider", 8, 32)
        #: health, which must be seen even when everything else is full
        self.watching = BoundedThreadPool("watching", 2, 64)
        self.counting = BoundedThreadPool("counting", 1, 8)
