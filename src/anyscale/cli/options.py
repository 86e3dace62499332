"""Options that several commands share."""

import click

from anyscale.cli.output import FORMATS

__all__ = ["host_option", "output_option"]

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="The format of the data on standard output.",
)

host_option = click.option(
    "--host",
    metavar="URL",
    help="The control plane. Default: ANYSCALE_HOST, then ~/.anyscale/credentials.json, "
    "then the embedded one.",
)
