"""The keys that sign ID tokens: of the files of this server, and public ones of all servers."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import json

from anyscale.errors import NotFound, StoreUnavailable
from anyscale.server.core.key_folders import LIFETIME
from anyscale.server.core.openid.key_files import ALGORITHM, SIGNING_KEYS, SigningKey
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.openid import PublicKeyRecord

_log = logging.getLogger("anyscale.server")


class SigningKeys:
    """The keys of this server, and the public keys of all servers of the database.

    A file that becomes unusable changes nothing: its key stays in use, and the log names the file
    each time that the folder is read.
    """

    def __init__(self, transactions: Transactions, folder: Path) -> None:
        self.folder = folder
        self._transactions = transactions
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        #: by the names of the files
        self._keys: Mapping[str, SigningKey] = {}
        #: by kid, without the revoked ones
        self._public: Mapping[str, PublicKeyRecord] = {}
        #: of the last reading
        self._warned: set[str] = set()

    def current(self) -> SigningKey:
        """Return the key that signs now.

        Raises:
            NotFound: there is none, as the log says.
        """
        self._refresh()
        due = self._due()
        if not due:
            raise NotFound("this server is not an OpenID provider: no signing key works")
        return max(due, key=lambda key: key.signs_from)

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims as a signed token (RFC 7515). Raises `NotFound` as `current` does."""
        while True:
            key = self.current()
            header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
            token = jwt.encode(header, claims, key.pair, algorithms=[ALGORITHM])
            # Read after signing: no token is given out that was signed after a revocation.
            if key.kid in self._read_public():
                return token

    def verify(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that one of the keys has signed; None for any other."""
        if not token:
            return None
        self._refresh()
        try:
            keys = KeySet.import_key_set({"keys": _jwks(self._read_public())})
            return dict(jwt.decode(token, keys, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValueError, TypeError):
            return None

    def published(self) -> list[dict[str, Any]]:
        """Return the public keys of all servers (RFC 7517, 5); without a database the last ones."""
        self._refresh()
        with suppress(StoreUnavailable):
            self._read_public()
        return _jwks(self._public)

    def _due(self) -> list[SigningKey]:
        now, public = time.time() * 1000, self._public
        return [key for key in self._keys.values() if key.signs_from <= now and key.kid in public]

    def _refresh(self) -> None:
        """Read the folder again, if it is time or the keys of the database have changed.

        Without a database the last keys stay, and the next try is as late as after a success: each
        one may wait seconds for the database, and all requests wait for the lock.
        """
        with self._lock:
            if time.monotonic() - self._read_at < LIFETIME:
                return
            keys = SIGNING_KEYS.read_again(self.folder, self._keys)
            try:
                self._register(keys)
            except StoreUnavailable:
                if not self._keys:
                    raise
            else:
                self._keys = keys
                self._report()
            self._read_at = time.monotonic()

    def _register(self, keys: Mapping[str, SigningKey]) -> None:
        """Store the public parts of new keys, so that every server publishes them."""
        with self._transactions.read() as tx:
            known = {record.kid for record in tx.public_keys.list()}
        new = [key.public for key in keys.values() if key.kid not in known]
        if new:
            with self._transactions.write_unattended("server key") as tx:
                for record in new:
                    tx.public_keys.add(record)
        self._read_public()

    def _read_public(self) -> Mapping[str, PublicKeyRecord]:
        """Read the keys of all servers that are not revoked, by kid."""
        with self._transactions.read() as tx:
            public = {key.kid: key for key in tx.public_keys.list() if key.revoked_at is None}
        if public.keys() != self._public.keys():
            self._public, self._read_at = public, float("-inf")
        return public

    def _report(self) -> None:
        """Log a revoked key each time that the folder is read, and what is only missing once."""
        own = {key.kid for key in self._keys.values()}
        for kid in sorted(own - self._public.keys()):
            _log.error("signing key is revoked: delete its file", extra={"kid": kid})
        missing = [kid for kid in self._public if kid not in own]
        warnings = {
            kid: ("signing key of another server is missing", {"kid": kid}) for kid in missing
        }
        if not self._due():
            detail = f"no key of {self.folder} signs"
            warnings[""] = ("no OpenID provider", {"detail": detail})
        for name in warnings.keys() - self._warned:
            event, fields = warnings[name]
            _log.warning(event, extra=fields)
        self._warned = set(warnings)


def _jwks(public: Mapping[str, PublicKeyRecord]) -> list[dict[str, Any]]:
    return [json.decode(key.jwk) for key in public.values()]
