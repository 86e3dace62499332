"""Options that several commands have."""

import click

from anyscale.cli.formats import FORMATS

__all__ = ["format_option", "host_option", "output_option"]

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="The format of the data on standard output.",
)

format_option = click.option(
    "--format",
    "file_format",
    type=click.Choice(["yaml", "json", "jsonl", "csv"]),
    help="The format of the file. Default: by its name, else YAML.",
)

host_option = click.option(
    "--host",
    metavar="URL",
    help="The control plane. Default: ANYSCALE_HOST, then ~/.anyscale/credentials.json, "
    "then the embedded one.",
)
