"""Wrong one-time codes: they count at the account, in the database."""

from typing import Final

from msgspec import structs

from anyscale.errors import AnyscaleError, CodesOff, TooManyWrongCodes
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import user_actor
from anyscale.server.core.mail.kinds import CODES_OFF, WRONG_CODES
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.time_units import MINUTE_MS, SECOND_MS
from anyscale.server.store.records.factors import FactorState
from anyscale.server.store.transaction import Transaction

#: wrong codes of an account in a time span, in milliseconds; then it has to wait for its end
_MOST_WRONG: Final = 10
_SPAN: Final = 10 * MINUTE_MS
#: wrong codes in a row after which an account accepts no more of them (NIST SP 800-63B-4, 3.2.2)
_MOST_IN_ROW: Final = 100
#: How many of these are kept for browsers that the account knows: so a stranger who has the
#: password cannot use up all, and who has copied the cookie of a browser gains no guess.
_KEPT: Final = 3

_CODES_OFF = (
    "too many codes were wrong, so none is accepted{}: use a recovery code or a passkey, or {}"
)
_ASK_OWNER = "ask an owner"
_ASK_OPERATOR = "ask the operator: `anyscale server reset-second-factor` removes your factors"


def why_no_codes(
    tx: Transaction, state: FactorState, now: int, *, is_known: bool
) -> AnyscaleError | None:
    """Return why an account accepts no one-time code now; None if it does.

    `is_known` is whether the account knows the browser.
    """
    kept = 0 if is_known else _KEPT
    if state.failures >= _MOST_IN_ROW - kept:
        where = " any more" if is_known else " in a browser that you have not signed in with"
        account = tx.accounts.get(state.user_id)
        is_owner = account is not None and account.permission_level == "owner"
        return CodesOff(_CODES_OFF.format(where, _ASK_OPERATOR if is_owner else _ASK_OWNER))
    wait = state.window_at + _SPAN - now
    if state.window_failures >= _MOST_WRONG - kept and 0 < wait <= _SPAN:
        minutes = -(-wait // MINUTE_MS)
        unit = "minute" if minutes == 1 else "minutes"
        message = f"too many codes were wrong: wait {minutes} {unit}, or use a recovery code"
        return TooManyWrongCodes(message, -(-wait // SECOND_MS))
    return None


def count_wrong_code(tx: Transaction, outbox: Outbox, state: FactorState, now: int) -> None:
    """Count a wrong code of a locked account; record and mail the last one of a stranger."""
    is_new = not 0 <= now - state.window_at < _SPAN
    counted = structs.replace(
        state,
        failures=state.failures + 1,
        window_at=now if is_new else state.window_at,
        window_failures=1 if is_new else state.window_failures + 1,
    )
    tx.factor_states.save(counted)
    if counted.failures == _MOST_IN_ROW - _KEPT:
        event, notice = "factor.codes_off", CODES_OFF
    elif counted.window_failures == _MOST_WRONG - _KEPT:
        event, notice = "factor.wrong_codes", WRONG_CODES
    else:
        return
    user_id, actor = state.user_id, user_actor(state.user_id)
    outbox.add_notice(tx, notice, user_id, actor)
    append_entry(tx, actor, event, user_id, {"in_a_row": counted.failures})


def forget_wrong_codes(tx: Transaction, user_id: str) -> None:
    """Let a locked account have no wrong codes: one-time codes that were off are on again."""
    state = tx.factor_states.get(user_id)
    if state.failures:
        tx.factor_states.save(structs.replace(state, failures=0, window_at=0, window_failures=0))
