"""`anyscale application create`, `list`, `show`, `update`, `rotate-secret` and `delete`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import UNSET

from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.formats import output_option, write_record, write_records
from anyscale.cli.options import not_empty, yes_option
from anyscale.cli.secret_output import SecretOutput, output_file_option
from anyscale.cli.terminal import confirm, log
from anyscale.domain.models.applications import (
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])

_NO_ISSUER = (
    "No application can sign users in yet: set ANYSCALE_PUBLIC_URL, the address where browsers "
    "reach the server, where the control plane runs, and restart it."
)

#: of a former secret
_WORKS = {True: "works for an hour", False: "has stopped working"}

_COLUMNS = (
    *("client_id", "name", "redirect_uris", "audience", "address"),
    *("requires_second_factor", "created_at", "last_sign_in_at"),
)

#: what an interrupt may leave
_MAY_EXIST = (
    "the application may have been created, and nobody has its secret: `anyscale application list` "
    "shows it"
)
_MAY_BE_REPLACED = (
    "the secret may have been replaced, and nobody has the new one: run the same command again"
)

_FACTOR = "Only users who show a second factor may sign in there."


def _uri_options(command: Command) -> Command:
    for option in (
        click.option(
            "--for",
            "audience",
            multiple=True,
            metavar="owners|DOMAIN|BATCH_ID",
            help="Only these users may sign in there. Repeatable: one match suffices.",
        ),
        click.option(
            "--post-logout-redirect-uri",
            "post_logout_redirect_uris",
            multiple=True,
            metavar="URI",
            help="An address where users return after they sign out. Repeatable.",
        ),
        click.option(
            "--address",
            metavar="URL",
            callback=not_empty,
            help="Where users open it: those who may sign in there see it on their account page.",
        ),
    ):
        command = option(command)
    return command


@click.command("create")
@click.option("--name", required=True, help="The name that users see: `JupyterHub`.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    required=True,
    metavar="URI",
    help="An address where users return with a code. Repeatable.",
)
@_uri_options
@click.option("--public", is_flag=True, help="It has no secret: a program in a browser.")
@click.option("--refresh-tokens", is_flag=True, help="It receives refresh tokens.")
@click.option("--without-pkce", is_flag=True, help="Its program cannot do PKCE.")
@click.option("--require-second-factor", is_flag=True, help=_FACTOR)
@output_file_option
@host_option
def create(
    name: str,
    redirect_uris: tuple[str, ...],
    post_logout_redirect_uris: tuple[str, ...],
    audience: tuple[str, ...],
    address: str | None,
    public: bool,
    refresh_tokens: bool,
    without_pkce: bool,
    require_second_factor: bool,
    output_file: str | None,
    host: str | None,
) -> None:
    """Create an application, and print its client id and its secret: once.

    \b
    Example:
      anyscale application create --name JupyterHub \\
          --redirect-uri https://hub.example.com/hub/oauth_callback
    """
    new = NewApplication(
        name=name,
        redirect_uris=list(redirect_uris),
        post_logout_redirect_uris=list(post_logout_redirect_uris),
        is_public=public,
        refresh_tokens=refresh_tokens,
        requires_pkce=not without_pkce,
        requires_second_factor=require_second_factor,
        audience=list(audience),
        address=address,
    )
    with (
        SecretOutput(output_file, _MAY_EXIST) as output,
        open_control_plane(host) as transport,
    ):
        log_control_plane(transport)
        created = transport.applications.create(new)
        client_id = created.application.client_id
        output.write(
            _lines(created),
            revoke=lambda: transport.applications.delete(client_id),
            lost="so the application was deleted.",
        )
    log(f"Application {name!r} was created.{_secret_is(created, output)}")
    if created.issuer is None:
        log(_NO_ISSUER)


@click.command("list")
@output_option
@host_option
def list_applications(output: str, host: str | None) -> None:
    """List the applications, the oldest first.

    \b
    Example:
      anyscale application list
    """
    with open_control_plane(host) as transport:
        write_records(transport.applications.list(), _COLUMNS, output)


@click.command("show")
@click.argument("client_id")
@output_option
@host_option
def show(client_id: str, output: str, host: str | None) -> None:
    """Show one application, without its secret.

    \b
    Example:
      anyscale application show app_0193...
    """
    with open_control_plane(host) as transport:
        application = transport.applications.get(client_id)
    write_record(application, application.__struct_fields__, output)


@click.command("update")
@click.argument("client_id")
@click.option("--name", help="The name that users see.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Replaces all addresses where users return with a code. Repeatable.",
)
@_uri_options
@click.option("--for-all", is_flag=True, help="All users may sign in there.")
@click.option("--no-address", is_flag=True, help="Users do not see it on their account page.")
@click.option(
    "--refresh-tokens/--no-refresh-tokens", default=None, help="Whether it receives refresh tokens."
)
@click.option(
    "--with-pkce/--without-pkce", "requires_pkce", default=None, help="Whether it must do PKCE."
)
@click.option(
    "--require-second-factor/--no-require-second-factor",
    "requires_second_factor",
    default=None,
    help=_FACTOR,
)
@host_option
def update(
    client_id: str, for_all: bool, no_address: bool, host: str | None, **fields: Any
) -> None:
    """Change fields of an application. Lists that are given replace the former ones.

    \b
    Example:
      anyscale application update app_0193... --for example.com
    """
    if for_all and fields["audience"]:
        raise ConfigError("--for and --for-all exclude each other")
    if no_address and fields["address"]:
        raise ConfigError("--address and --no-address exclude each other")
    changes = {name: _sent(value) for name, value in fields.items()}
    if for_all:
        changes["audience"] = []
    if no_address:
        changes["address"] = None
    if all(value is UNSET for value in changes.values()):
        raise ConfigError(f"give at least one of {_options_of_update()}")
    with open_control_plane(host) as transport:
        log_control_plane(transport)
        application = transport.applications.update(client_id, ApplicationChanges(**changes))
    log(f"Application {application.name!r} is updated.")


@click.command("rotate-secret")
@click.argument("client_id")
@click.option("--now", is_flag=True, help="The former secret stops working at once.")
@output_file_option
@host_option
def rotate_secret(client_id: str, now: bool, output_file: str | None, host: str | None) -> None:
    """Replace the secret of an application. The former one works for an hour.

    \b
    Example:
      anyscale application rotate-secret app_0193... --output-file secret
    """
    with (
        SecretOutput(output_file, _MAY_BE_REPLACED) as output,
        open_control_plane(host) as transport,
    ):
        log_control_plane(transport)
        created = transport.applications.rotate_secret(client_id, now=now)
        former = f"The former secret of {client_id} {_WORKS[not now]}."
        # Only another rotation gives the program a secret that keeps working.
        lost = f"and nobody has it. {former} Run the command again at once."
        output.write(_lines(created), revoke=lambda: None, lost=lost)
    log(f"{former}{_secret_is(created, output)}")


@click.command("delete")
@click.argument("client_id")
@yes_option
@host_option
def delete(client_id: str, yes: bool, host: str | None) -> None:
    """Delete an application: it signs nobody in, and all sign-ins there end.

    \b
    Example:
      anyscale application delete app_0193...
    """
    with open_control_plane(host) as transport:
        log_control_plane(transport)
        name = transport.applications.get(client_id).name
        effect = f"Users can no longer sign in to {name!r} with this server; its secret is deleted."
        confirm(effect, "it was not deleted", yes=yes)
        transport.applications.delete(client_id)
    log(f"Application {name!r} is deleted.")


def _lines(created: CreatedApplication) -> str:
    lines = [f"client_id={created.application.client_id}"]
    if created.client_secret is not None:
        lines.append(f"client_secret={created.client_secret}")
    return "\n".join(lines)


def _secret_is(created: CreatedApplication, output: SecretOutput) -> str:
    return "" if created.client_secret is None else f" {output.describe('The new secret')}"


def _options_of_update() -> str:
    parameters = click.get_current_context().command.params
    *others, last = [one.opts[0] for one in parameters if one.name not in ("client_id", "host")]
    return f"{', '.join(others)} or {last}"


def _sent(value: Any) -> Any:
    if value is None or value == ():
        return UNSET
    return list(value) if isinstance(value, tuple) else value
