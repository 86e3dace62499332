"""One-time links whose `#` a mail gateway has encoded, so that it became a part of the path."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.server.core.link_secrets import secret_of
from anyscale.server.paths import LINK_PAGE


class MangledLinkMiddleware(ASGIMiddleware):
    """Redirects `/set-password%23mrl_...` to the page, with the secret after a `#` again."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        path: str = scope["path"]
        secret = secret_of(path) if path.startswith(LINK_PAGE) else ""
        if secret:
            headers = {"Location": f"{LINK_PAGE}#{secret}"}
            await ASGIResponse(status_code=303, headers=headers)(scope, receive, send)
        else:
            await next_app(scope, receive, send)
