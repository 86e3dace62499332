"""Authenticator apps of accounts in a control plane, and the codes that they show."""

import functools
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.ids import new_id
from anyscale.server.core.second_factor.keys import create_key
from anyscale.server.core.second_factor.seeds import encrypt_seed
from anyscale.server.core.second_factor.totp import code_of, new_seed
from anyscale.server.store.records.factors import FactorRecord

#: seconds of a step, and those that are left of one in which a code is compared
_STEP, _LEFT = 30, 5


@functools.cache
def _folder() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()
    create_key(Path(folder.name), datetime(2026, 1, 1, tzinfo=UTC))
    return folder


def seed_keys_folder() -> Path:
    """Give the folder with a key that encrypts seeds, one for all tests of a process."""
    return Path(_folder().name)


def add_app(control_plane: ControlPlane, user_id: str) -> bytes:
    """Add an app to an account, which has shown its first code; give its seed."""
    seed = new_seed()
    text = encrypt_seed(control_plane.seed_keys, seed, user_id)
    with control_plane.store.write() as tx:
        now = tx.now()
        app = FactorRecord(
            factor_id=new_id("fac_", now),
            user_id=user_id,
            kind="totp",
            name="App",
            created_at=now,
            confirmed_at=now,
            seed=text,
        )
        assert tx.factors.add(app)
    return seed


def code_shown(seed: bytes, *, seconds_ahead: int = 0) -> str:
    """Give the code that an app shows now, with a clock that is some seconds ahead.

    The step of such a clock lasts for some seconds more: a server that gets the code after its end
    would see a smaller difference.
    """
    if seconds_ahead:
        wait_until(lambda: time.time() % _STEP < _STEP - _LEFT)
    return code_of(seed, int(time.time() + seconds_ahead) // _STEP)
