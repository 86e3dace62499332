"""The OpenID provider of a control plane: its issuer, keys and services."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from anyscale.errors import ConfigError, NotFound
from anyscale.server.core.key_folders import is_missing
from anyscale.server.core.openid.application_authentication import ApplicationAuthentication
from anyscale.server.core.openid.authorization import AuthorizationService
from anyscale.server.core.openid.id_token_hints import IdTokenHints
from anyscale.server.core.openid.key_rotation import rotate_keys
from anyscale.server.core.openid.logout import LogoutService
from anyscale.server.core.openid.signing_keys import SigningKeys
from anyscale.server.core.openid.tokens import GrantTokens
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.transactions import Transactions

_log = logging.getLogger("anyscale.server")


class OpenIdProvider:
    """The services of a provider.

    Args:
        transactions: of the control plane.
        issuer: the URL that identifies the provider (Core, 1.2).
        folder: of the signing keys.
        policy: of second factors.
        creates_key: whether a missing folder is created with a key, for a database that only this
            machine uses. Without a key there is no provider, which a log line says.
    """

    def __init__(
        self,
        transactions: Transactions,
        issuer: str,
        folder: Path,
        policy: SecondFactorPolicy,
        *,
        creates_key: bool,
    ) -> None:
        self.issuer = issuer
        self.keys: Final = SigningKeys(transactions, folder)
        hints = IdTokenHints(self.keys, issuer)
        self.applications: Final = ApplicationAuthentication(transactions)
        self.authorization: Final = AuthorizationService(transactions, hints, policy)
        self.tokens: Final = GrantTokens(transactions, self.keys, issuer)
        self.logout: Final = LogoutService(transactions, hints)
        try:
            if creates_key and is_missing(folder):
                rotate_keys(transactions, folder, "system")
        except ConfigError as error:
            _log.error("no OpenID provider", extra={"detail": str(error)})
        with suppress(NotFound):  # which the keys have logged
            self.keys.current()
