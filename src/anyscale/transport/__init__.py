"""The calls of a control plane, and the two ways to make them.

`base.py` declares the calls as a protocol for each subject; `embedded.py` makes them in this
process, on the user's own SQLite database; `http.py` makes them over HTTP. `open_transport` chooses
between the two. The SDK and the command line use a control plane only through this package.
"""

import os
from collections.abc import Callable, Mapping

from anyscale.config import Target
from anyscale.transport.base import Outage, Transport

__all__ = ["open_transport"]


def open_transport(
    target: Target,
    environment: Mapping[str, str] = os.environ,
    *,
    on_notice: Callable[[str], None] = lambda _: None,
    on_outage: Callable[[Outage], None] = lambda _: None,
) -> Transport:
    """Return the transport to a control plane; import only the module that it needs.

    Args:
        target: the control plane.
        environment: with the settings of the embedded one.
        on_notice: receives messages for the user while a call takes long.
        on_outage: reports an outage, from any thread. It is called now and then while calls get no
            response for some seconds. It is also called before a failed call is repeated, unless
            another call has succeeded since. The embedded control plane has no outages.

    Raises:
        ConfigError: a setting of the embedded control plane is wrong.
    """
    if target.host and target.token:
        from anyscale.transport.http.transport import HttpTransport

        return HttpTransport(
            target.host, target.token, on_notice, on_outage, token_source=target.token_source
        )
    from anyscale.transport.embedded import EmbeddedTransport

    return EmbeddedTransport.from_environment(environment, on_notice)
