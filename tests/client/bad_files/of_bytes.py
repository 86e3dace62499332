"""Files that are empty or not the expected text, and the problems of each."""

from zipfile import ZIP_STORED

from tests.client.bad_files.bad import Bad
from tests.client.bad_files.workbooks import packed

BYTES = [
    Bad(
        "an empty YAML file",
        "users.yaml",
        b"",
        [
            (
                "users.yaml:1:1: the file has no users: it needs the key 'create_users' with a "
                "list of them"
            )
        ],
        ["empty"],
    ),
    Bad(
        "an empty JSON file",
        "users.json",
        b"",
        [
            (
                'users.json:1:1: the file has no users: it needs {"create_users": [{"name": '
                '"Jane", "email": "jane@example.com"}]}'
            )
        ],
        ["empty"],
    ),
    Bad(
        "an empty JSON Lines file",
        "users.jsonl",
        (b"\n \n"),
        [
            (
                'users.jsonl:1:1: the file has no users: it needs lines like {"name": "Jane", '
                '"email": "jane@example.com"}'
            )
        ],
        ["empty"],
    ),
    Bad(
        "an empty CSV file",
        "users.csv",
        b"",
        [
            (
                "users.csv:1:1: the file has no users: the first line must name the columns, name "
                "and email among them, separated by commas, semicolons or tabs, like "
                "name,email,password,is_sso_user,lastname,title,external_id,password_hash"
            )
        ],
        ["empty"],
    ),
    Bad(
        "a YAML file of comments",
        "users.yaml",
        (b"# nobody\n\n# yet\n"),
        [
            (
                "users.yaml:1:1: the file has no users: it needs the key 'create_users' with a "
                "list of them"
            )
        ],
        ["empty"],
    ),
    Bad(
        "a YAML file that only begins a document",
        "users.yaml",
        b"---\n",
        [
            (
                "users.yaml:2:1: the file has no users: it needs the key 'create_users' with a "
                "list of them"
            )
        ],
        ["empty"],
    ),
    Bad(
        "a binary file",
        "users.yaml",
        b"\x7fELF\x02\x01\x01\x00\x00",
        [
            (
                "users.yaml:1:1: the file has the character U+007F, which YAML does not allow: "
                "remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a NUL byte in the middle",
        "users.csv",
        (b"name,email\nJane,ja\x00ne@example.com\n"),
        [
            (
                "users.csv:2:8: the file is binary from here on (it has a NUL byte): users are "
                "read from text"
            )
        ],
        ["character"],
    ),
    Bad(
        "UTF-16, little-endian",
        "users.yaml",
        "create_users:\n".encode("utf-16-le"),
        ["users.yaml:1:1: the file is UTF-16 text: save it as UTF-8"],
        ["encoding"],
    ),
    Bad(
        "UTF-16, big-endian",
        "users.csv",
        "name,email\n".encode("utf-16-be"),
        ["users.csv:1:1: the file is UTF-16 text: save it as UTF-8, or add --encoding utf-16-be"],
        ["encoding"],
    ),
    Bad(
        "UTF-16 with a mark, little-endian",
        "users.csv",
        b"\xff\xfe" + "name,email\n".encode("utf-16-le"),
        ["users.csv:1:1: the file is UTF-16 text: save it as UTF-8, or add --encoding utf-16"],
        ["encoding"],
    ),
    Bad(
        "UTF-16 with a mark, big-endian",
        "users.yaml",
        b"\xfe\xff" + "create_users:\n".encode("utf-16-be"),
        ["users.yaml:1:1: the file is UTF-16 text: save it as UTF-8"],
        ["encoding"],
    ),
    Bad(
        "UTF-32",
        "users.yaml",
        "create_users:\n".encode("utf-32-le"),
        ["users.yaml:1:1: the file is UTF-32 text: save it as UTF-8"],
        ["encoding"],
    ),
    Bad(
        "UTF-32 with a mark",
        "users.json",
        b"\xff\xfe\0\0" + "{}".encode("utf-32-le"),
        ["users.json:1:1: the file is UTF-32 text: save it as UTF-8"],
        ["encoding"],
    ),
    Bad(
        "Latin-1",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: Caf\xe9 owner\n"),
        [
            (
                "users.yaml:4:13: the file is not UTF-8 from here on (Latin-1 or Windows-1252 "
                "look like this): save it as UTF-8"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "Windows-1252 in CSV",
        "users.csv",
        (b"name,email\nJane,jane@example.com\nJ\xfcrgen,juergen@example.com\n"),
        [
            (
                "users.csv:3:2: the file is not UTF-8 from here on (Latin-1 or Windows-1252 look "
                "like this): save it as UTF-8, or add --encoding windows-1252, which reads 'Jürgen'"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "a character cut off at the end",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: caf\xc3"),
        [
            (
                "users.yaml:4:13: the file ends in the middle of a character: if it was cut off, "
                "take the whole one, else save it as UTF-8"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "a spreadsheet",
        "users.csv",
        b"PK\x03\x04\x14\x00\x06\x00",
        [
            (
                "users.csv:1:1: the file is an Excel workbook or a zip archive: use --format xlsx "
                "if it is one"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "an old spreadsheet",
        "users.csv",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        [
            (
                "users.csv:1:1: the file is an old or password-protected spreadsheet: save it as "
                ".xlsx without a password"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "a compressed file",
        "users.yaml",
        b"\x1f\x8b\x08\x00",
        ["users.yaml:1:1: the file is compressed: unpack it first"],
        ["encoding"],
    ),
    Bad(
        "a PDF document",
        "users.yaml",
        b"%PDF-1.7\n",
        ["users.yaml:1:1: the file is a PDF document: export the users as CSV (UTF-8)"],
        ["encoding"],
    ),
    Bad(
        "an image",
        "users.csv",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        ["users.csv:1:1: the file is an image: export the users as CSV (UTF-8)"],
        ["encoding"],
    ),
    Bad(
        "a web page",
        "users.csv",
        b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>",
        ["users.csv:1:1: the file is a web page, and not a list: export the users as CSV (UTF-8)"],
        ["encoding"],
    ),
    Bad(
        "an OpenDocument spreadsheet",
        "users.ods",
        packed({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}, ZIP_STORED),
        [
            (
                "users.ods:1:1: the file is an OpenDocument spreadsheet: save it as .xlsx, or as "
                "CSV (UTF-8)"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "a flat OpenDocument spreadsheet",
        "users.fods",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n\n<office:document>',
        [
            (
                "users.fods:1:1: the file is XML, such as a flat OpenDocument spreadsheet: save it "
                "as .xlsx, or as CSV (UTF-8)"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "a Word document",
        "users.docx",
        packed({"[Content_Types].xml": "<Types/>", "word/document.xml": "<document/>"}),
        [
            (
                "users.docx:1:1: the file is a Word document: copy its table to a spreadsheet, and "
                "save that as CSV (UTF-8)"
            )
        ],
        ["encoding"],
    ),
]
