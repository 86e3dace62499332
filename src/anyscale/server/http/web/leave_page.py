"""The page from which a browser continues to an application, without a form or a script."""

from litestar import Response

from anyscale.server.http.web.templating import render_page
from anyscale.server.login_options import LoginOptions


def leave_page(
    application: str, url: str, options: LoginOptions, *, is_automatic: bool = True
) -> Response[str]:
    """Render a page with a link to an application, which the browser follows by itself or not.

    Args:
        application: its name.
        url: a path of this server, or a registered address of the application: never a value from
            a request that was not compared with those.
        options: of the pages.
        is_automatic: whether the browser follows the link by itself, in place of this page in its
            history.
    """
    return render_page(
        "continue",
        options=options,
        headers={"Refresh": f"0; url={url}"} if is_automatic else {},
        name=application,
        url=url,
        is_automatic=is_automatic,
    )
