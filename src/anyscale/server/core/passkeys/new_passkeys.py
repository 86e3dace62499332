"""Adding passkeys to the account of a signed-in user."""

from collections.abc import Sequence
from typing import Any

from anyscale.errors import ConfigError, PasskeyRefused
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.ids import new_id
from anyscale.server.core.passkeys.ceremonies import CreatedPasskey, PasskeyCeremonies
from anyscale.server.core.passkeys.webauthn import MOST_PASSKEYS
from anyscale.server.core.second_factor.factors import FactorService, checked_name
from anyscale.server.core.shown_methods import passkey_methods
from anyscale.server.store.records.factors import FactorRecord
from anyscale.server.store.transaction import Transaction


class NewPasskeys:
    """Adds passkeys, as `FactorService` adds apps: it raises the same errors.

    `browser` is the secret of the session.
    """

    def __init__(self, factors: FactorService, ceremonies: PasskeyCeremonies) -> None:
        self._factors = factors
        self._ceremonies = ceremonies

    def options(self, caller: SessionCaller, browser: str) -> dict[str, Any]:
        """Return what `navigator.credentials.create` takes. Raises `SignInTooOld`."""
        self._factors.require_present(caller)
        return self._ceremonies.registration_options(caller.account, browser)

    def add(
        self, caller: SessionCaller, answer: str, browser: str, name: str = "", replaces: str = ""
    ) -> Sequence[str]:
        """Add the passkey that a browser has created.

        Args:
            caller: the user.
            answer: to the options.
            browser: which got the options.
            name: of the passkey, for the user.
            replaces: the id of a factor that is removed; empty for none.

        Returns:
            Recovery codes, which are shown this once; none if the account had a factor before.

        Raises:
            PasskeyRefused: the answer is not accepted, or the passkey was added before.
            ConfigError: the name is too long, or the account has 20 passkeys.
        """
        name = checked_name(name, "Passkey")
        created = self._ceremonies.verify_new(answer, browser)
        with self._factors.write(caller) as (tx, user):
            self._ceremonies.use_up(tx, created.challenge, caller.actor)
            passkey = self._record(tx, user, created, name)
            if not tx.factors.add(passkey):
                raise PasskeyRefused("known", caller.actor)
            shown = passkey_methods(can_be_backed_up=created.passkey.can_be_backed_up)
            return self._factors.record_added(tx, user, passkey, shown, replaces)

    def _record(
        self, tx: Transaction, user: SessionCaller, created: CreatedPasskey, name: str
    ) -> FactorRecord:
        user_id, now, passkey = user.account.user_id, tx.now(), created.passkey
        kinds = [factor.kind for factor in tx.factors.list(user_id)]
        if kinds.count("passkey") >= MOST_PASSKEYS:
            raise ConfigError(f"you have {MOST_PASSKEYS} passkeys: remove one first")
        return FactorRecord(
            factor_id=new_id("fac_", now),
            user_id=user_id,
            kind="passkey",
            name=name,
            created_at=now,
            confirmed_at=now,
            credential_id=passkey.credential_id,
            public_key=passkey.public_key,
            counter=passkey.counter,
            can_be_backed_up=passkey.can_be_backed_up,
            transports=passkey.transports,
            rp_id=self._ceremonies.rp.rp_id,
        )
