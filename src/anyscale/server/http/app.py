"""The ASGI application: its routes, their dependencies, and the tasks while it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from anyscale.domain.struct_types import examine_structs
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.mail import MailThreads
from anyscale.server.background.memory_budget import MemoryBudget
from anyscale.server.background.periodic import start_periodic_work
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.operator_proof import OperatorProofs
from anyscale.server.http.account import routes as account
from anyscale.server.http.account.page import AccountPage
from anyscale.server.http.api import (
    applications,
    audit_log,
    batches,
    chunks,
    mails,
    small_batches,
    user_lifecycle,
    users,
)
from anyscale.server.http.api.unknown_parameters import refuse_unknown_parameters
from anyscale.server.http.authentication import (
    TOKEN_AUTHENTICATION,
    Authenticator,
    require_permission,
)
from anyscale.server.http.console import routes as console
from anyscale.server.http.console.users.account import UserPages
from anyscale.server.http.console.users.choice import Confirmations
from anyscale.server.http.dependencies import provide_each
from anyscale.server.http.errors import EXCEPTION_HANDLERS
from anyscale.server.http.login import pages, sso
from anyscale.server.http.login import routes as login
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.metrics import (
    WORKERS,
    DatabaseMetrics,
    count_change,
    count_from_zero,
    count_mail,
)
from anyscale.server.http.middleware.client_addresses import ClientAddressMiddleware
from anyscale.server.http.middleware.csrf import CSRF_RULE, CsrfMiddleware, csrf_exempt
from anyscale.server.http.middleware.gzip_requests import MAX_BODY, GzipRequestMiddleware
from anyscale.server.http.middleware.head_requests import HeadMiddleware
from anyscale.server.http.middleware.mangled_links import MangledLinkMiddleware
from anyscale.server.http.middleware.request_checks import RequestCheckMiddleware
from anyscale.server.http.middleware.request_log import RequestLogMiddleware
from anyscale.server.http.middleware.security_headers import SecurityHeadersMiddleware
from anyscale.server.http.middleware.shutdown import ShutdownMiddleware, shut_down_when_cancelled
from anyscale.server.http.openid import authorize, discovery, logout, token, userinfo
from anyscale.server.http.openid.continuation import Continuations
from anyscale.server.http.openid.cors import CorsMiddleware
from anyscale.server.http.operations import health, openapi, received_request
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web import templating

#: Level 9, the default, needs ten times the processor time for a page of users, and makes it an
#: eighth smaller.
_COMPRESSION = CompressionConfig(backend="gzip", minimum_size=2048, gzip_compress_level=1)

_API = Router(
    "/v1",
    route_handlers=[
        small_batches.ROUTER,
        users.ROUTER,
        user_lifecycle.ROUTER,
        batches.ROUTER,
        chunks.ROUTER,
        applications.ROUTER,
        mails.ROUTER,
        audit_log.ROUTER,
    ],
    middleware=[TOKEN_AUTHENTICATION],
    guards=[require_permission, refuse_unknown_parameters],
    opt={CSRF_RULE: csrf_exempt},
    security=[{"token": []}],
)


def create_routes(services: State) -> Litestar:
    """Create the routes, which keep nothing of a control plane but their state."""
    routes = Litestar(
        route_handlers=[
            _API,
            *account.ROUTERS,
            console.ROUTER,
            *login.ROUTERS,
            *pages.ROUTERS,
            *sso.HANDLERS,
            *authorize.HANDLERS,
            *discovery.HANDLERS,
            *logout.HANDLERS,
            *token.HANDLERS,
            *userinfo.HANDLERS,
            *templating.HANDLERS,
            *health.HANDLERS,
            *openapi.HANDLERS,
            *received_request.HANDLERS,
        ],
        dependencies=provide_each(services) | {"provider": Provide(discovery.require_provider)},
        # for middleware, guards and error pages, which have no dependencies
        state=services,
        lifespan=[_lifespan],
        middleware=[ShutdownMiddleware(), CorsMiddleware(), CsrfMiddleware()],
        compression_config=_COMPRESSION,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi.openapi_config(),
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )
    count_from_zero(_methods_and_paths(routes))
    return routes


def application(
    control_plane: ControlPlane, create_routes: Callable[[State], Litestar] = create_routes
) -> ASGIApp:
    """Create the application of a control plane, which it closes when it shuts down.

    Tests pass a `create_routes` that takes over the routes of a server that has ended.
    """
    WORKERS.set(1)
    examine_structs()  # those of requests and cookies
    settings = control_plane.settings
    routes = create_routes(State(_services(control_plane)))
    routed = MangledLinkMiddleware()(shut_down_when_cancelled(routes))
    inner = HeadMiddleware()(GzipRequestMiddleware()(routed))
    checked = RequestCheckMiddleware(settings.public_url)(inner)
    secure = SecurityHeadersMiddleware(tls_only=settings.is_reached_by_tls)(checked)
    return ClientAddressMiddleware(RequestLogMiddleware()(secure), settings.trusted_proxies)


def _methods_and_paths(routes: Litestar) -> Iterator[tuple[str, str]]:
    yield from (("GET", "unknown"), ("POST", "unknown"))
    for route in routes.routes:
        if isinstance(route, HTTPRoute):
            yield from ((method, route.path_format) for method in route.methods - {"OPTIONS"})


def _services(control_plane: ControlPlane) -> dict[str, object]:
    """Return what handlers can receive, by the name of the argument."""
    pools = ThreadPools()
    sessions, tokens = control_plane.sessions, control_plane.tokens
    control_plane.batches.on_change = count_change
    for sender in control_plane.mail_senders:
        sender.on_result = count_mail
    login_options = control_plane.settings.login_options
    account_count = AccountCount(control_plane.transactions)
    return {
        "applications": control_plane.applications,
        "continuations": Continuations(control_plane.openid, pools),
        "openid": control_plane.openid,
        "user_grants": control_plane.user_grants,
        "account_page": AccountPage(
            sessions,
            tokens,
            control_plane.factors,
            control_plane.user_grants,
            login_options,
        ),
        "account_count": account_count,
        "user_pages": UserPages(
            control_plane.account_details,
            control_plane.user_grants,
            control_plane.audit_log,
            control_plane.users,
            tokens,
            control_plane.mail_queue,
            control_plane.batches,
        ),
        "confirmations": Confirmations(
            control_plane.users, control_plane.listing, control_plane.links, account_count
        ),
        "bulk_changes": control_plane.bulk_changes,
        "audit_log": control_plane.audit_log,
        "authenticator": Authenticator(tokens, sessions, control_plane.audit_log, pools.auth),
        "batches": control_plane.batches,
        "check_database": control_plane.store.ready,
        "control_plane": control_plane,
        "memory_budget": MemoryBudget(),
        "exports": control_plane.exports,
        "factor_removal": control_plane.factor_removal,
        "factors": control_plane.factors,
        "new_passkeys": control_plane.new_passkeys,
        "file_runs": FileRuns(),
        "database_metrics": DatabaseMetrics(control_plane, account_count),
        "lifecycle": control_plane.lifecycle,
        "links": control_plane.links,
        "listing": control_plane.listing,
        "mail_queue": control_plane.mail_queue,
        "login": LoginFlows(
            control_plane.password_login,
            control_plane.password_changes,
            control_plane.second_factor_login,
            control_plane.passkey_login,
            pools.login,
        ),
        "login_options": login_options,
        "syncs": control_plane.syncs,
        "sso_login": control_plane.sso_login,
        "operator_proofs": OperatorProofs(control_plane.transactions),
        "password_resets": control_plane.password_resets,
        "pools": pools,
        "sessions": sessions,
        "tokens": tokens,
        "updates": control_plane.updates,
        "users": control_plane.users,
    }


@asynccontextmanager
async def _lifespan(routes: Litestar) -> AsyncIterator[None]:
    control_plane: ControlPlane = routes.state.control_plane
    pools: ThreadPools = routes.state.pools
    file_runs: FileRuns = routes.state.file_runs
    tasks = start_periodic_work(control_plane, pools.are_busy)
    mail = MailThreads(control_plane.mail_senders) if control_plane.mail_senders else None
    if mail:
        mail.start()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        file_runs.stop()
        if mail:
            mail.stop()
        # Not in a thread, because a forced shutdown would cancel the wait for it.
        control_plane.close()
