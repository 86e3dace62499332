"""The formats of users files: what each one is, and its reader."""

from pathlib import PurePath
from typing import NamedTuple


class Format(NamedTuple):
    """A format of users files."""

    #: on the command line
    name: str
    #: as pages show it
    label: str
    #: of file names
    endings: tuple[str, ...]
    #: the module and the function of its reader, which is imported on use
    reader: str
    #: whether it has columns whose fields the caller can choose
    is_table: bool = False
    #: whether it has sheets, of which the caller can choose one, and places are cells
    is_workbook: bool = False
    #: whether its text may have another encoding than UTF-8
    has_encodings: bool = False
    #: whether an export in it may have a manifest in a file of its own
    has_manifest_file: bool = False
    #: whether the rules of YAML on characters and line ends hold for it
    is_yaml: bool = False
    #: whether an unfinished file is invalid, and the reader itself limits the size of an entry
    is_whole: bool = False
    #: whether it has the key `create_users`, or a list as under it
    has_key: bool = False
    #: whether a file of many entries may be one line
    has_long_lines: bool = False
    #: whether files of other formats often have its name
    names_other_formats: bool = False


#: by their names on the command line
FORMATS = {
    one.name: one
    for one in (
        Format(
            "yaml",
            "YAML",
            (".yaml", ".yml"),
            "yaml_plain_entries:read_yaml",
            is_yaml=True,
            has_key=True,
            names_other_formats=True,
        ),
        Format(
            "json",
            "JSON",
            (".json",),
            "json_reader:read_json",
            is_whole=True,
            has_key=True,
            has_long_lines=True,
        ),
        Format(
            "jsonl",
            "JSON Lines",
            (".jsonl", ".ndjson"),
            "json_reader:read_jsonl",
            is_whole=True,
            has_key=True,
            has_long_lines=True,
        ),
        Format(
            "csv",
            "CSV",
            (".csv", ".tsv"),
            "tables.csv_reader:read_csv",
            is_table=True,
            has_encodings=True,
            has_manifest_file=True,
        ),
        Format(
            "xlsx",
            "Excel",
            (".xlsx", ".xlsm", ".xlsb", ".xls"),
            "tables.xlsx_reader:read_xlsx",
            is_table=True,
            is_workbook=True,
            is_whole=True,
            names_other_formats=True,
        ),
        Format("ldif", "LDIF", (".ldif",), "ldif_reader:read_ldif"),
        Format("keycloak", "Keycloak", (), "keycloak_reader:read_keycloak", is_whole=True),
        Format("django", "Django", (), "django_reader:read_django", is_whole=True),
    )
}


def format_of(file_name: str) -> str:
    """Return the format of a file by its name; YAML for unknown endings."""
    ending = PurePath(file_name).suffix.lower()
    return next((name for name, one in FORMATS.items() if ending in one.endings), "yaml")
