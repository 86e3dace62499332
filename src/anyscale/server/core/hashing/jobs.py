"""The jobs of hashing, and their priorities: the same in threads and in worker processes."""

from typing import Any

from anyscale.domain.passwords import PasswordFault, UserTexts, password_faults
from anyscale.server.core.hashing.argon2id import Hasher
from anyscale.server.core.secrets import SensitiveStruct

#: The lowest priority that still gets a share of a core that others keep busy.
NICENESS = 19

#: That of sign-ins: they get a quarter of a core that a batch keeps busy, and other requests still
#: go before them.
SIGN_IN_NICENESS = 5

#: That of sign-ins by hashes that other systems have made, which may take a second each: all other
#: sign-ins go before them.
IMPORTED_NICENESS = 10


class HashJob(SensitiveStruct, frozen=True, tag=True):
    """Hash passwords. The result is a list of PHC strings."""

    passwords: list[str]


class WrapJob(SensitiveStruct, frozen=True, tag=True):
    """Wrap weak hashes. The result is that of `Hasher.wrap`."""

    weak_hashes: list[str]


class CheckJob(SensitiveStruct, frozen=True, tag=True):
    """Check passwords against the policy: the arguments and the result of `password_faults`."""

    passwords: list[str]
    own: list[UserTexts]
    minimum: int
    organization: str = ""


class VerifyJob(SensitiveStruct, frozen=True, tag=True):
    """Verify a password against a hash. The result is a bool, as of `Hasher.verify`."""

    password_hash: str | None
    #: as the user typed it, in UTF-8 with octets for lone surrogates (`surrogatepass`)
    password: bytes


Job = HashJob | WrapJob | CheckJob | VerifyJob

#: the results, or a text that says why there is none
RESPONSES: dict[type[Job], Any] = {
    HashJob: list[str] | str,
    WrapJob: list[str] | str,
    CheckJob: list[PasswordFault | None] | str,
    VerifyJob: bool | str,
}


def execute(hasher: Hasher, job: Job) -> Any:
    """Do a job in this thread, and return its result. Raises `HashingUnavailable`."""
    if isinstance(job, HashJob):
        return hasher.hash(job.passwords)
    if isinstance(job, WrapJob):
        return hasher.wrap(job.weak_hashes)
    if isinstance(job, VerifyJob):
        return hasher.verify(job.password_hash, job.password.decode(errors="surrogatepass"))
    return password_faults(job.passwords, job.own, job.minimum, job.organization)
