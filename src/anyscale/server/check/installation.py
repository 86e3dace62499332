"""The installation that is checked, and what several checks need of it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from anyscale.domain.schemas.protocol import DECODE_ERRORS, IDENTITY
from anyscale.domain.schemas.received_request import PROOF, RECEIVED_REQUEST_PATH, ReceivedRequest
from anyscale.errors import ConfigError, ProviderUnavailable, StoreUnavailable
from anyscale.server.check.findings import NotTried
from anyscale.server.check.identity_provider_metadata import ProviderMetadata, fetch_metadata
from anyscale.server.check.network import NoResponse, Response, get, within_time
from anyscale.server.core.operator_proof import get_operator_key, new_proof, proof_of_server
from anyscale.server.settings import ListenSettings, Settings
from anyscale.server.store.database_facts import DatabaseFacts
from anyscale.server.store.inspection import inspect_database
from anyscale.server.store.transaction import Transaction

#: an address of no machine (RFC 5737, 3), which a client claims to have
FORGED_ADDRESS = "203.0.113.9"

#: Headers that a proxy has to pass on; the values mean nothing.
SENT_HEADERS = {
    "Authorization": "Bearer check",
    "Content-Encoding": "identity",
    "Cookie": "check=check",
    "Idempotency-Key": "check",
}

_FORGED_HEADERS = {"X-Forwarded-For": FORGED_ADDRESS, "X-Forwarded-Proto": "http"}

Value = TypeVar("Value")

_WRONG_SETTING = "a setting is wrong: see settings.values"


class Installation:
    """A control plane as its operator's environment describes it.

    Args:
        environment: the variables.
        environment_file: from which they come.
        mail_to: the address that gets a mail; empty for none.
    """

    def __init__(
        self, environment: Mapping[str, str], environment_file: Path, mail_to: str = ""
    ) -> None:
        self.environment = environment
        self.environment_file = environment_file
        self.mail_to = mail_to

    def find_wrong_settings(self) -> list[str]:
        """Return a message for each variable with a wrong value."""
        messages: list[str] = []
        for read in (self._read_settings, self._read_listen_settings):
            try:
                read()
            except ConfigError as error:
                messages += error.args
        return messages

    def _read_settings(self) -> Settings:
        return Settings.from_environment(self.environment, served=True)

    def _read_listen_settings(self) -> ListenSettings:
        return ListenSettings.from_environment(self.environment, port=None, workers=None)

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises `NotTried` if one is wrong."""
        try:
            return self._read_settings()
        except ConfigError:
            raise NotTried(_WRONG_SETTING) from None

    def inspect(self, read: Callable[[Transaction], Value]) -> tuple[DatabaseFacts, Value | None]:
        """Look at the database, as `inspect_database` does, in limited time.

        Raises:
            NotTried: a setting is wrong.
            StoreUnavailable, TimeoutError: it cannot be read.
        """
        database = self.settings.database
        return within_time(lambda: inspect_database(database, read))

    def read(self, read: Callable[[Transaction], Value]) -> Value:
        """Return what a function reads from the database, in limited time.

        Raises:
            NotTried: the database cannot be read, or does not have the schema of this program.
            StoreUnavailable, TimeoutError: it became unavailable after an earlier check.
        """
        _ = self.database
        facts, found = self.inspect(read)
        if found is None:
            raise NotTried(f"the schema is {facts.schema}, and not that of this program")
        return found

    @property
    def database(self) -> DatabaseFacts:
        """The facts of the database. Raises `NotTried` if it cannot be read."""
        if self._database is None:
            raise NotTried("the database cannot be read: see database.reachable")
        return self._database

    @cached_property
    def _database(self) -> DatabaseFacts | None:
        try:
            return self.inspect(lambda _: None)[0]
        except (StoreUnavailable, TimeoutError):
            return None

    @property
    def workers(self) -> int:
        """The processes of the server that handle requests. Raises `NotTried` as `settings`."""
        try:
            return self._read_listen_settings().workers
        except ConfigError:
            raise NotTried(_WRONG_SETTING) from None

    @property
    def public_url(self) -> str:
        """The address of the server. Raises `NotTried` without one."""
        if self.settings.public_url is None:
            raise NotTried("ANYSCALE_PUBLIC_URL is not set")
        return self.settings.public_url

    @property
    def proxied_url(self) -> str:
        """The address of the proxy. Raises `NotTried` if the public URL is the server's own one."""
        if not self.public_url.startswith("https://"):
            raise NotTried("ANYSCALE_PUBLIC_URL is http://: there is no proxy")
        return self.public_url

    def get_health(self) -> Response:
        """Request `/healthz` at the public URL, or raise `NoResponse`."""
        return get(f"{self.public_url}/healthz")

    def require_control_plane(self) -> Response:
        """Return the response to `/healthz`; raise `NotTried` if no control plane responds."""
        if self._health is None:
            raise NotTried("no control plane responds: see public_url.reachable")
        return self._health

    @cached_property
    def _health(self) -> Response | None:
        try:
            response = self.get_health()
        except NoResponse:
            return None
        return response if IDENTITY.lower() in response.headers else None

    @cached_property
    def received(self) -> ReceivedRequest | None:
        """A request as the server received it; None from a server of another database.

        Raises:
            NotTried: no control plane responds, or the database cannot be read.
        """
        self.require_control_plane()
        proofs = self.new_proofs()
        if proofs is None:
            return None
        proof, expected = proofs
        headers = SENT_HEADERS | _FORGED_HEADERS | {PROOF: proof}
        try:
            response = get(self.public_url + RECEIVED_REQUEST_PATH, headers)
            received = msgspec.json.decode(response.body, type=ReceivedRequest)
        except (NoResponse, *DECODE_ERRORS):
            return None
        return received if received.proof == expected else None

    def new_proofs(self) -> tuple[str, str] | None:
        """Return a proof of this command, and that with which the server has to respond.

        None if no server has used the database. Raises `NotTried` if it cannot be read.
        """
        _ = self.database
        _, found = self.inspect(lambda tx: (get_operator_key(tx), tx.now()))
        key, now = found or (None, 0)
        if key is None:
            return None
        proof = new_proof(key, now)
        return proof, proof_of_server(key, proof)

    @cached_property
    def provider_metadata(self) -> ProviderMetadata | None:
        """The metadata of the identity provider; None if they cannot be read."""
        assert self.settings.provider
        try:
            return fetch_metadata(self.settings.provider)
        except (ProviderUnavailable, TimeoutError):
            return None
