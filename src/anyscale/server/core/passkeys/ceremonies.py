"""Ceremonies of passkeys: options for a page, and what becomes of the browser's answer."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from anyscale.errors import PasskeyRefused
from anyscale.server.core.callers import user_actor
from anyscale.server.core.passkeys.challenges import Challenge, Challenges, Purpose
from anyscale.server.core.passkeys.relying_party import RelyingParty
from anyscale.server.core.passkeys.webauthn import (
    Assertion,
    Passkey,
    Registration,
    registration_options,
    request_options,
)
from anyscale.server.core.shown_methods import passkey_methods
from anyscale.server.core.signer import Signer
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.factors import FactorRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction


class ShownPasskey(Struct, frozen=True):
    """A passkey that has signed a challenge of ours, which is not used up yet."""

    factor: FactorRecord
    challenge: Challenge
    counter: int


class CreatedPasskey(Struct, frozen=True):
    """A passkey that a browser has created for a page of ours; its challenge is not used up yet."""

    passkey: Passkey
    challenge: Challenge


class PasskeyCeremonies:
    """Lets browsers create and show passkeys.

    Each ceremony is bound to the `browser`: the secret of one of its cookies.
    """

    def __init__(self, transactions: Transactions, rp: RelyingParty, organization: str) -> None:
        self._transactions = transactions
        signer = Signer(transactions, "passkey_challenges")
        signer.signature(b"")  # creates the key: afterwards no page waits for the database
        self._challenges = Challenges(signer)
        self._organization = organization
        #: the address for which passkeys are created
        self.rp: Final = rp

    def sign_in_options(self, browser: str) -> dict[str, Any]:
        """Return the options of a page where nobody has said yet who signs in."""
        return request_options(self.rp, challenge=self._challenges.new(Purpose.SIGN_IN, browser))

    def options_for(self, user_id: str, purpose: Purpose, browser: str) -> dict[str, Any] | None:
        """Return the options for the passkeys of an account; None if none of them works here."""
        known = self._known(user_id)
        if not known:
            return None
        challenge = self._challenges.new(purpose, browser)
        return request_options(self.rp, challenge=challenge, known=known)

    def registration_options(self, account: AccountRecord, browser: str) -> dict[str, Any]:
        """Return the options to create a passkey for an account."""
        return registration_options(
            self.rp,
            challenge=self._challenges.new(Purpose.REGISTRATION, browser),
            organization=self._organization,
            user_id=account.user_id,
            email=account.email,
            known=self._known(account.user_id),
        )

    def verify(
        self, answer: str, purpose: Purpose, browser: str, user_id: str = ""
    ) -> ShownPasskey:
        """Return the passkey that has signed, of any account or of the one with this id.

        Raises:
            PasskeyRefused: the answer is not a new one of a passkey that is known here.
        """
        assertion = Assertion(answer)
        challenge = self._challenges.check(assertion.challenge, purpose, browser)
        with self._transactions.read() as tx:
            factor = tx.factors.find_passkey(assertion.credential_id)
            is_used = tx.used_challenges.has(challenge.hash)
        if is_used:  # otherwise the counter would say that the passkey was copied
            raise PasskeyRefused("used")
        if factor is None:
            raise PasskeyRefused("unknown")
        actor = user_actor(factor.user_id)
        if user_id and factor.user_id != user_id:
            raise PasskeyRefused("account", actor)
        try:
            assertion.verify(self.rp, _passkey_of(factor), factor.user_id, needs_user=not user_id)
        except PasskeyRefused as error:
            raise PasskeyRefused(error.reason, actor) from None
        return ShownPasskey(factor, challenge, assertion.counter)

    def use(self, tx: Transaction, shown: ShownPasskey, now: int) -> str:
        """Use up the challenge of a passkey whose account is locked; return its methods.

        Raises:
            PasskeyRefused: the challenge was used before, or the passkey was removed or used since.
        """
        factor, actor = shown.factor, user_actor(shown.factor.user_id)
        self.use_up(tx, shown.challenge, actor)
        if not tx.factors.use_passkey(factor, shown.counter, now):
            raise PasskeyRefused("changed", actor)
        return passkey_methods(can_be_backed_up=bool(factor.can_be_backed_up))

    def use_up(self, tx: Transaction, challenge: Challenge, actor: str) -> None:
        """Use up a challenge. Raise `PasskeyRefused` if it was used before."""
        if not tx.used_challenges.add(challenge.hash, challenge.expires_at):
            raise PasskeyRefused("used", actor)

    def verify_new(self, answer: str, browser: str) -> CreatedPasskey:
        """Return the passkey that a browser has created.

        Raises:
            PasskeyRefused: no page of ours has asked this browser for it, or we do not accept it.
        """
        registration = Registration(answer)
        challenge = self._challenges.check(registration.challenge, Purpose.REGISTRATION, browser)
        return CreatedPasskey(registration.verify(self.rp), challenge)

    def _known(self, user_id: str) -> Sequence[Passkey]:
        with self._transactions.read() as tx:
            factors = tx.factors.list(user_id)
        return [_passkey_of(factor) for factor in factors if factor.rp_id == self.rp.rp_id]


def _passkey_of(factor: FactorRecord) -> Passkey:
    return Passkey(
        credential_id=factor.credential_id or b"",
        public_key=factor.public_key or b"",
        counter=factor.counter or 0,
        can_be_backed_up=bool(factor.can_be_backed_up),
        transports=factor.transports or "",
    )
