"""Invalid CSV files, and the problems of each."""

from tests.client.bad_files.bad import Bad

MUST_NAME = (
    "the first line must name the columns, name and email among them, separated by commas, "
    "semicolons or tabs, like name,email,password,is_sso_user,lastname,title,external_id,"
    "password_hash"
)
RENAME = "rename it, or remove it"
MUST = "must be true or false"
BOOLEANS = "write true, yes, on or 1, or else false, no, off, 0 or nothing"
MEND = (
    "rename it to one of name, email, password, is_sso_user, lastname, title, external_id, "
    "password_hash, or remove it"
)
NAMELESS = (
    "this cell's column has no name: name it one of "
    "name, email, password, is_sso_user, lastname, title, external_id, password_hash, or remove it"
)
SWAPPED = "is not an email address, and another field is one: are the two swapped?"
NOT_YAML = "the file must begin with the key 'create_users:', and the list of users under it"
USE_CSV = "if the file is CSV, use --format csv"


def swapped(column: str) -> str:
    return (
        f"'{column}' is the first name, so 'Name' is probably the last name: "
        f"rename 'Name' to lastname and '{column}' to name"
    )


SHORTENED = "looks like a number that a spreadsheet has shortened: format the column as text"


FORMULA = 'is a formula for a spreadsheet (="..."): write only the text that is in its quotes'


BLANK_BEFORE = "the blank before the quotes of this cell makes them a part of its text: remove it"


def error_value(text: str) -> str:
    return f"{text} is an error value of a spreadsheet: correct the formula, or write the text"


LOST_LETTER = "has U+FFFD at character 3, where a letter was lost: write the letter"


COMMA = "read with ',' as the separator"

SEPARATE = "separate its cells by ',', those that are empty too"
IN_QUOTES = "the quotes around the whole {} make it one cell: remove them"


def below(line: int) -> str:
    return f"; line {line} names them: remove the lines above it"


CSV = [
    Bad(
        "rows that are in quotes as a whole, below a header that is not",
        "users.csv",
        'name,lastname,email,title\n"Jörg,Müller,joerg@example.com,""Chef"""\n"Ann"\n'.encode(),
        [
            (
                "users.csv:2:1: this row has 1 cell and the first line names 4 columns; the "
                "quotes around the whole row make it one cell: remove them"
            ),
            (
                "users.csv:3:1: this row has 1 cell and the first line names 4 columns; "
                "separate its cells by ',', those that are empty too"
            ),
        ],
        ["cells", "cells"],
    ),
    Bad(
        "rows of one cell, of which the second is a whole row in quotes",
        "users.csv",
        b'name,email\n"Doe, Jane"\n"Jane,jane@example.com"\n"Jane,jane@example.com,,"\n',
        [
            (
                "users.csv:2:1: this row has 1 cell and the first line names 2 columns; "
                "separate its cells by ',', those that are empty too"
            ),
            (
                "users.csv:3:1: this row has 1 cell and the first line names 2 columns; the "
                "quotes around the whole row make it one cell: remove them"
            ),
            (
                "users.csv:4:1: this row has 1 cell and the first line names 2 columns; "
                "separate its cells by ',', those that are empty too"
            ),
        ],
        ["cells"] * 3,
    ),
    Bad(
        "a text of several lines, with ends of old Macs, as the only cell of a row",
        "users.csv",
        b'name,email\n"\n,Doe\rJane, \n""x"\n',
        [
            (
                "users.csv:2:1: this row has 1 cell and the first line names 2 columns; "
                "separate its cells by ',', those that are empty too"
            )
        ],
        ["cells"],
    ),
    Bad(
        "a header that is in quotes as a whole",
        "users.csv",
        b'"name;email"\n"Jane;jane@example.com"\n',
        [
            (
                f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}; "
                f"{IN_QUOTES.format('line')}"
            )
        ],
        ["columns"],
    ),
    Bad(
        "a title above the header",
        "users.csv",
        b"Mitarbeiter 2026;;\n;;\nE-Mail;Vorname;Titel\njane@example.com;Jane;\n",
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}{below(3)}"],
        ["columns"],
    ),
    Bad(
        "a title below an empty row, above a header in quotes",
        "users.csv",
        b';;\nStaff;;2026\n"name";"email"\nJane;jane@example.com\n',
        [f"users.csv:2:1: there is no column 'name' and no column 'email': {MUST_NAME}{below(3)}"],
        ["columns"],
    ),
    Bad(
        "a header too far below a title",
        "users.csv",
        b"Staff\n" + 10 * b"a\n" + b"name,email\nJane,jane@example.com\n",
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "as many commas as semicolons, and a comma in a name without quotes",
        "users.csv",
        b"Nachname, Vorname;E-Mail\nDoe, Jane;jane@example.com\n",
        [
            f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}; {COMMA}",
            f"users.csv:1:10: unknown column: {MEND}",
        ],
        ["columns", "unknown_key"],
    ),
    Bad(
        "words in parentheses after the names of columns, and a column that stands for no field",
        "users.csv",
        "Vorname;E-Mail (geschäftlich);Passwort (initial);Ort\nMia;mia@example.com;;\n".encode(),
        [
            f"users.csv:1:50: unknown column 'Ort': {MEND}",
        ],
        ["unknown_key"],
    ),
    Bad(
        "numbers that a spreadsheet has shortened",
        "users.csv",
        b"name;email;password;title\nJane;jane@example.com;8,46235E+10;1.2E-07\n1.5E+13;1E+11;;\n",
        [
            (
                "users.csv:2:23: jane@example.com, password: looks like a number that a "
                "spreadsheet has shortened: format the column as text"
            ),
            (
                "users.csv:2:35: jane@example.com, title: looks like a number that a "
                "spreadsheet has shortened: format the column as text"
            ),
            (
                "users.csv:3:1: name: looks like a number that a spreadsheet has shortened: "
                "format the column as text"
            ),
            (
                "users.csv:3:9: email: looks like a number that a spreadsheet has shortened: "
                "format the column as text"
            ),
        ],
        ["spreadsheet"] * 4,
    ),
    Bad(
        "formulas that keep the zeros of a text in a spreadsheet",
        "users.csv",
        b'name;email;password;external_id\nJane;j@x.org;="correct horse";="0042"\n'
        b'="Al";a@x.org;;"=""0043"""\n',
        [
            f"users.csv:2:14: j@x.org, password: {FORMULA}",
            f"users.csv:2:31: j@x.org, external_id: {FORMULA}",
            f"users.csv:3:1: a@x.org, name: {FORMULA}",
            f"users.csv:3:16: a@x.org, external_id: {FORMULA}",
        ],
        ["spreadsheet"] * 4,
    ),
    Bad(
        "blanks before quotes",
        "users.csv",
        b'email, name, title\nj@x.org, "Jane", "Boss"\nk@x.org,Kim, "a, b"\n'
        b'l@x.org,Lee,"a, ""b"" c"\nm@x.org," ""Mo""",\n',
        [
            f"users.csv:2:9: {BLANK_BEFORE}",
            f"users.csv:3:13: {BLANK_BEFORE}",
        ],
        ["cells"] * 2,
    ),
    Bad(
        "error values of a spreadsheet",
        "users.csv",
        b"name;email;password;lastname;title\n"
        b"#NV;#N/A;#WERT!;#REF!;#BEZUG!\n"
        b"#NAME?;ann@example.com;;#DIV/0!;#VALUE!\n",
        [
            (
                "users.csv:2:1: name: #NV is an error value of a spreadsheet: correct the "
                "formula, or write the text"
            ),
            (
                "users.csv:2:5: email: #N/A is an error value of a spreadsheet: correct the "
                "formula, or write the text"
            ),
            (
                "users.csv:2:10: password: #WERT! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:2:17: lastname: #REF! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:2:23: title: #BEZUG! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:3:1: ann@example.com, name: #NAME? is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:3:25: ann@example.com, lastname: #DIV/0! is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:3:33: ann@example.com, title: #VALUE! is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
        ],
        ["spreadsheet"] * 8,
    ),
    Bad(
        "error values of LibreOffice, newer Excel and Google, and a column that is too narrow",
        "users.csv",
        b"name;email;password;lastname;title\n"
        b"Err:502;#SPILL!;#CALC!;#FIELD!;#BLOCKED!\n"
        b"#CONNECT!;ann@example.com;;#BUSY!;#ERROR!\n###;b@example.com;;Err:522;########\n",
        [
            (
                "users.csv:2:1: name: Err:502 is an error value of a spreadsheet: correct the "
                "formula, or write the text"
            ),
            (
                "users.csv:2:9: email: #SPILL! is an error value of a spreadsheet: correct the "
                "formula, or write the text"
            ),
            (
                "users.csv:2:17: password: #CALC! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:2:24: lastname: #FIELD! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:2:32: title: #BLOCKED! is an error value of a spreadsheet: correct "
                "the formula, or write the text"
            ),
            (
                "users.csv:3:1: ann@example.com, name: #CONNECT! is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:3:28: ann@example.com, lastname: #BUSY! is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:3:35: ann@example.com, title: #ERROR! is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:4:1: b@example.com, name: ### is an error value of a spreadsheet: "
                "correct the formula, or write the text"
            ),
            (
                "users.csv:4:20: b@example.com, lastname: Err:522 is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
            (
                "users.csv:4:28: b@example.com, title: ######## is an error value of a "
                "spreadsheet: correct the formula, or write the text"
            ),
        ],
        ["spreadsheet"] * 11,
    ),
    Bad(
        "the columns of email and password swapped: neither is shown",
        "users.csv",
        b"name,email,password\nJane,hunter2secret!,jane@example.com\n",
        [
            (
                "users.csv:2:6: email: is not an email address, and another field is one: are "
                "the two swapped?"
            ),
            "users.csv:2:21: password: contains the user's own name or email",
        ],
        ["email_invalid", "password_personal"],
    ),
    Bad(
        "no header, and a user called email: no cell is shown",
        "users.csv",
        b"email,secretpw99,name1\n",
        [
            f"users.csv:1:1: there is no column 'name': {MUST_NAME}",
            f"users.csv:1:7: unknown column: {MEND}",
            f"users.csv:1:18: unknown column: {MEND}",
        ],
        ["columns", "unknown_key", "unknown_key"],
    ),
    Bad(
        "a header of which one cell is a word for a field: no other cell is shown",
        "users.csv",
        b"E-Mail;Abteilung\njane@example.com;R&D\n",
        [
            f"users.csv:1:1: there is no column 'name': {MUST_NAME}",
            f"users.csv:1:8: unknown column: {MEND}",
        ],
        ["columns", "unknown_key"],
    ),
    Bad(
        "no header: no cell is shown",
        "users.csv",
        b"Jane,jane@example.com,correct-horse\n",
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "no header, and a user called Name: no cell is shown",
        "users.csv",
        b"Name,jane@example.com,correct-horse\n",
        [f"users.csv:1:1: there is no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "no column for the email",
        "users.csv",
        (b"name,title\nJane,Engineer\n"),
        [f"users.csv:1:1: there is no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "a column that stands for no field beside words for fields",
        "users.csv",
        b"First Name,Last Name,Email,Title,Office\nJane,Doe,jane@example.com,Boss,\n",
        [
            f"users.csv:1:34: unknown column 'Office': {MEND}",
        ],
        ["unknown_key"],
    ),
    Bad(
        "a column of the sheet's own, and a wrong email under a name in another case",
        "users.csv",
        b"Name,Department, EMAIL \nJane,Sales,jane\n",
        [
            (
                "users.csv:1:6: unknown column 'Department': rename it to one of name, email, "
                "password, is_sso_user, lastname, title, external_id, password_hash, or remove "
                "it"
            ),
            "users.csv:2:12: Jane, email: 'jane' is not an email address",
        ],
        ["unknown_key", "email_invalid"],
    ),
    Bad(
        "no header, and a user called Title: no cell is shown",
        "users.csv",
        b"Title,jane@example.com,correct-horse\n",
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "a column that is named like an email",
        "users.csv",
        b"name,email,work@home\nJane,jane@example.com,x\n",
        [f"users.csv:1:12: unknown column 'work@home': {MEND}"],
        ["unknown_key"],
    ),
    Bad(
        "a hundred columns and one that are not known",
        "users.csv",
        b"name,email" + b",x" * 101 + b"\n",
        [
            *(f"users.csv:1:{12 + 2 * n}: unknown column 'x': {MEND}" for n in range(100)),
            (
                "users.csv:1:212: more than 100 keys or columns are wrong up to here: "
                "it is not a users file"
            ),
        ],
        [*["unknown_key"] * 100, "too_long"],
    ),
    Bad(
        "cells in columns without a name, of which the first in each is reported",
        "users.csv",
        b"name,,email,,\nJane,x,jane@example.com,,\nJoe,y,joe,,z\n",
        [
            (
                "users.csv:2:6: this cell's column has no name: name it one of name, email, "
                "password, is_sso_user, lastname, title, external_id, password_hash, or remove "
                "it"
            ),
            "users.csv:3:7: Joe, email: 'joe' is not an email address",
            (
                "users.csv:3:12: this cell's column has no name: name it one of name, email, "
                "password, is_sso_user, lastname, title, external_id, password_hash, or remove "
                "it"
            ),
        ],
        ["unknown_key", "email_invalid", "unknown_key"],
    ),
    Bad(
        "cells in a hundred columns without a name and one",
        "users.csv",
        b"name,email" + b"," * 101 + b"\nJane,jane@example.com" + b",x" * 101 + b"\n",
        [
            *(f"users.csv:2:{23 + 2 * n}: {NAMELESS}" for n in range(100)),
            (
                "users.csv:2:223: more than 100 keys or columns are wrong up to here: "
                "it is not a users file"
            ),
        ],
        [*["unknown_key"] * 100, "too_long"],
    ),
    Bad(
        "separators at the end of the rows, and not of the first line",
        "users.csv",
        b"name,email\nJane,jane@example.com,\nJoe,joe@example.com,,x\n",
        [
            (
                "users.csv:2:1: this row has 3 cells and the first line names 2 columns; "
                "remove what is empty at its end"
            ),
            (
                "users.csv:3:1: this row has 4 cells and the first line names 2 columns; quote "
                "a text that holds ','"
            ),
        ],
        ["cells", "cells"],
    ),
    Bad(
        "a separator at the end of the first line alone",
        "users.csv",
        b"name,email,\nJane,jane@example.com\n",
        [
            (
                "users.csv:2:1: this row has 2 cells and the first line has 3, 1 of them "
                "empty; remove what is empty in the first line"
            )
        ],
        ["cells"],
    ),
    Bad(
        "columns that are not known",
        "users.csv",
        b'name,email,tilte,"a, b"\nJane,jane@example.com,x,y\n',
        [
            f"users.csv:1:12: unknown column 'tilte': did you mean 'title'? {RENAME}",
            f"users.csv:1:18: unknown column 'a, b': {MEND}",
        ],
        ["unknown_key", "unknown_key"],
    ),
    Bad(
        "a column twice",
        "users.csv",
        (b"name,email,name\nJane,jane@example.com,Joe\n"),
        ["users.csv:1:12: the column 'name' is there twice"],
        ["duplicate_key"],
    ),
    Bad(
        "a column twice, in other cases and with blanks",
        "users.csv",
        b"Name,email, NAME\nJane,jane@example.com,Joe\n",
        ["users.csv:1:12: the column 'name' is there twice"],
        ["duplicate_key"],
    ),
    Bad(
        "letters that another program has damaged",
        "users.csv",
        "name,email,lastname\nJÃ¼rg,j@x.org,GroÃŸ\nAna,a@x.org,Pe\ufffda\n".encode(),
        [
            "users.csv:2:1: j@x.org, name: was read in a wrong encoding: write 'Jürg'",
            "users.csv:2:15: j@x.org, lastname: was read in a wrong encoding: write 'Groß'",
            f"users.csv:3:13: a@x.org, lastname: {LOST_LETTER}",
        ],
        ["damaged"] * 3,
    ),
    Bad(
        "rows that are too short and too long",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b"Jane\n"
            b"Jane,jane@example.com\n"
            b"Jane,jane@example.com,,,,,\n"
        ),
        [
            (
                "users.csv:2:1: this row has 1 cell and the first line names 6 columns; "
                "separate its cells by ',', those that are empty too"
            ),
            (
                "users.csv:3:1: this row has 2 cells and the first line names 6 columns; "
                "separate its cells by ',', those that are empty too"
            ),
            (
                "users.csv:4:1: this row has 7 cells and the first line names 6 columns; "
                "remove what is empty at its end"
            ),
        ],
        ["cells", "cells", "cells"],
    ),
    Bad(
        "a comma in a title without quotes",
        "users.csv",
        (b"name,email,title\nJane,jane@example.com,Engineer, Platform\n"),
        [
            (
                "users.csv:2:1: this row has 4 cells and the first line names 3 columns; quote "
                "a text that holds ','"
            )
        ],
        ["cells"],
    ),
    Bad(
        "a quote that is never closed",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b"Jane,jane@example.com,,,,\n"
            b'Joe,"joe@example.com,,,,\n'
            b"Ann,ann@example.com,,,,\n"
        ),
        ["users.csv:3:5: not valid CSV: the quote that opens this cell is never closed"],
        ["syntax"],
    ),
    Bad(
        "a quote that another one closes",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b'Joe,"joe@example.com,,,,\n'
            b'Ann,"ann@example.com",,,,\n'
        ),
        [
            (
                "users.csv:2:5: not valid CSV: the quotes of this cell do not match: double a "
                'quote inside a quoted text ("")'
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a text after a closing quote",
        "users.csv",
        (b'name,email,password,is_sso_user,lastname,title\n"Joe" Smith,joe@example.com,,,,\n'),
        [
            (
                "users.csv:2:1: not valid CSV: the quotes of this cell do not match: double a "
                'quote inside a quoted text ("")'
            )
        ],
        ["syntax"],
    ),
    Bad(
        "semicolons, and a wrong email",
        "users.csv",
        (b"name;email;title\nJ\xc3\xbcrgen;jurgen;Engineer, Platform\n"),
        ["users.csv:2:8: Jürgen, email: 'jurgen' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "tabs, and a wrong email",
        "users.csv",
        (b"name\temail\ttitle\nJ\xc3\xbcrgen\tjurgen\tEngineer; Platform\n"),
        ["users.csv:2:8: Jürgen, email: 'jurgen' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "bars between the cells",
        "users.csv",
        (b"name|email\nJane|jane@example.com\n"),
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "a byte order mark, and a wrong email",
        "users.csv",
        (b"\xef\xbb\xbfname,email\nJane,jane\n"),
        ["users.csv:2:6: Jane, email: 'jane' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "a line break in a quoted title, and a wrong email after it",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b'Jane,jane@example.com,,,,"Engineer\n'
            b'Platform"\n'
            b"Joe,joe,,,,\n"
        ),
        [
            "users.csv:2:26: Jane, title: has a line break at character 9: remove it",
            "users.csv:4:5: Joe, email: 'joe' is not an email address",
        ],
        ["character", "email_invalid"],
    ),
    Bad(
        "quotes inside cells without quotes",
        "users.csv",
        (b'name,email,title\nJa"ne,jane,5" pipes\n'),
        ["users.csv:2:7: Ja\"ne, email: 'jane' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "doubled quotes before a wrong email",
        "users.csv",
        (b'name,email\n"Jane ""JJ"" Doe",jane\n'),
        ["users.csv:2:19: Jane \"JJ\" Doe, email: 'jane' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "empty cells for a name and an email",
        "users.csv",
        (b"name,email,title\n,,Boss\n"),
        [
            "users.csv:2:1: name: is empty: every user has one",
            "users.csv:2:2: email: is empty: every user has one",
        ],
        ["required", "required"],
    ),
    Bad(
        "other words for is_sso_user",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b"Jane,jane@example.com,,maybe,,\n"
            b"Joe,joe@example.com,, 2 ,,\n"
            b"Ann,ann@example.com,,vielleicht,,\n"
        ),
        [
            (
                "users.csv:2:24: Jane, is_sso_user: must be true or false, not 'maybe': write "
                "true, yes, on or 1, or else false, no, off, 0 or nothing"
            ),
            (
                "users.csv:3:22: Joe, is_sso_user: must be true or false, not '2': write true, "
                "yes, on or 1, or else false, no, off, 0 or nothing"
            ),
            (
                "users.csv:4:22: Ann, is_sso_user: must be true or false: write true, yes, on "
                "or 1, or else false, no, off, 0 or nothing"
            ),
        ],
        ["type", "type", "type"],
    ),
    Bad(
        "the columns of password and is_sso_user swapped: no password is shown",
        "users.csv",
        (
            b"name;email;password;is_sso_user\n"
            b"Ann;ann@example.com;WAHR;letmein\n"
            b"Joe;joe@example.com;0;xyzzy\n"
            b"Jane;jane@example.com;;s3cret!\n"
            b"Eve;eve@example.com;;dragon\n"
            b"Dan;dan@example.com;;nope\n"
        ),
        [
            "users.csv:2:21: ann@example.com, password: is shorter than 8 characters",
            (
                "users.csv:2:26: ann@example.com, is_sso_user: must be true or false: write "
                "true, yes, on or 1, or else false, no, off, 0 or nothing"
            ),
            "users.csv:3:21: joe@example.com, password: is shorter than 8 characters",
            (
                "users.csv:3:23: joe@example.com, is_sso_user: must be true or false: write "
                "true, yes, on or 1, or else false, no, off, 0 or nothing"
            ),
            (
                "users.csv:4:24: Jane, is_sso_user: must be true or false: write true, yes, on "
                "or 1, or else false, no, off, 0 or nothing"
            ),
            (
                "users.csv:5:22: Eve, is_sso_user: must be true or false: write true, yes, on "
                "or 1, or else false, no, off, 0 or nothing"
            ),
            (
                "users.csv:6:22: Dan, is_sso_user: must be true or false, not 'nope': write "
                "true, yes, on or 1, or else false, no, off, 0 or nothing"
            ),
        ],
        ["password_too_short", "type", "password_too_short", "type", "type", "type", "type"],
    ),
    Bad(
        "a German header and a column of no field: the rows are checked as the fields",
        "users.csv",
        b"Vorname;Nachname;E-Mail;Passwort;SSO;Ort\nMia;Member;mia;s3cret!;WAHR;\n",
        [
            (
                "users.csv:1:38: unknown column 'Ort': rename it to one of name, email, "
                "password, is_sso_user, lastname, title, external_id, password_hash, or remove "
                "it"
            ),
            "users.csv:2:12: email: 'mia' is not an email address",
            "users.csv:2:16: password: is shorter than 8 characters",
        ],
        ["unknown_key", "email_invalid", "password_too_short"],
    ),
    Bad(
        "two columns that mean one field, which is there too or not",
        "users.csv",
        b"Vorname,Name,First name,E-Mail,Mail\nMia,Member,x,mia@example.com,y\n",
        [
            f"users.csv:1:1: {swapped('Vorname')}",
            f"users.csv:1:14: {swapped('First name')}",
            f"users.csv:1:25: unknown column 'E-Mail': did you mean 'email'? {RENAME}",
            f"users.csv:1:32: unknown column 'Mail': {MEND}",
        ],
        ["unknown_key"] * 4,
    ),
    Bad(
        "a column of first names beside `Name`, which has the last names",
        "users.csv",
        b"Name;E-Mail;Vorname\nMember;mia@example.com;Mia\n",
        [
            f"users.csv:1:13: {swapped('Vorname')}",
        ],
        ["unknown_key"],
    ),
    Bad(
        "a column of first names beside `Name`, and one of last names",
        "users.csv",
        b"name;email;Vorname;Nachname\nMia;mia@example.com;Mia;Member\n",
        [
            f"users.csv:1:12: unknown column 'Vorname': {MEND}",
        ],
        ["unknown_key"],
    ),
    Bad(
        "one name of a column, and a word for another, which may be a user's: no cell is shown",
        "users.csv",
        b"Name;Vorname\nMember;Mia\n",
        [
            f"users.csv:1:1: there is no column 'email': {MUST_NAME}",
            f"users.csv:1:6: unknown column: {MEND}",
        ],
        ["columns", "unknown_key"],
    ),
    Bad(
        "no header, and a user whose name and title are words for columns: no cell is shown",
        "users.csv",
        b"Nome,jane@example.com,correct-horse,,,Position\n",
        [f"users.csv:1:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "a personnel number twice, after NFC, and in an entry with another problem",
        "users.csv",
        (
            "name,email,Personalnr.\n"
            "Jane,jane@example.com,\u00e97\n"
            "Ann,ann@example.com,e\u03017\n"
            "Cy,cy@example.com,7\n"
            ",dee@example.com,7\n"
            "Eve,eve@example.com,\n"
            "Fay,fay@example.com,\n"
        ).encode(),
        [
            "users.csv:3:5: Ann, external_id: 'é7' is also the external_id of line 2 (Jane)",
            "users.csv:5:1: dee@example.com, name: is empty: every user has one",
            "users.csv:5:2: external_id: '7' is also the external_id of line 4 (Cy)",
        ],
        ["external_id_duplicate", "required", "external_id_duplicate"],
    ),
    Bad(
        "an email twice",
        "users.csv",
        (
            b"name,email,password,is_sso_user,lastname,title\n"
            b"Jane,jane@example.com,,,,\n"
            b"Jane,JANE@example.com,,,,\n"
        ),
        [("users.csv:3:6: Jane, email: 'JANE@example.com' is also the email of line 2 (Jane)")],
        ["email_duplicate"],
    ),
    Bad(
        "a short password",
        "users.csv",
        (b"name,email,password,is_sso_user,lastname,title\nJane,jane@example.com,s3cret!,,,\n"),
        ["users.csv:2:23: jane@example.com, password: is shorter than 8 characters"],
        ["password_too_short"],
    ),
    Bad(
        "ends of lines of old Macs",
        "users.csv",
        b"name,email\rJane,jane@example.com\r",
        [
            (
                "users.csv:1:6: not valid CSV: the file has line ends of old Macs (CR): save it "
                "with LF or CRLF"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a header with an open quote",
        "users.csv",
        (b'"name,email\nJane,jane@example.com\n'),
        ["users.csv:1:1: not valid CSV: the quote that opens this cell is never closed"],
        ["syntax"],
    ),
    Bad(
        "blank lines alone",
        "users.csv",
        (b"\n\n"),
        [f"users.csv:1:1: the file has no users: {MUST_NAME}"],
        ["empty"],
    ),
    Bad(
        "a cell that is too long",
        "users.csv",
        b"name,email\nJane," + b"x" * 200_000,
        [
            (
                "users.csv:2:6: not valid CSV: this cell is too long, or the quote that opens it "
                "is never closed"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a row of more than a MiB",
        "users.csv",
        b"name,email\n" + b"a" * 99_999 + b"," * 2_000_000,
        [
            (
                "users.csv:2:1114102: no entry ends in the 1 MiB before this place: it is too "
                "long, as one of a directory with a photo, or a quote is never closed"
            )
        ],
        ["too_long"],
    ),
    Bad(
        "a line for Excel, and mistakes after it",
        "users.csv",
        b"sep=;\r\nName;Email;Department\r\nJane;jane;Sales\r\n",
        [
            (
                "users.csv:2:12: unknown column 'Department': rename it to one of name, email, "
                "password, is_sso_user, lastname, title, external_id, password_hash, or remove "
                "it"
            ),
            "users.csv:3:6: Jane, email: 'jane' is not an email address",
        ],
        ["unknown_key", "email_invalid"],
    ),
    Bad(
        "a line for Excel that says bars",
        "users.csv",
        b"sep=|\nname|email\n",
        [f"users.csv:2:1: there is no column 'name' and no column 'email': {MUST_NAME}"],
        ["columns"],
    ),
    Bad(
        "a line for Excel alone",
        "users.csv",
        b"sep=,\n",
        [f"users.csv:2:1: the file has no users: {MUST_NAME}"],
        ["empty"],
    ),
    Bad(
        "rows of empty cells alone",
        "users.csv",
        b",,\r\n,,\r\n",
        [f"users.csv:1:1: the file has no users: {MUST_NAME}"],
        ["empty"],
    ),
    Bad(
        "CSV under a name that does not say so",
        "users.txt",
        b"\xef\xbb\xbfName,Email\r\nJane,jane@example.com\r\n",
        [f"users.txt:1:1: {NOT_YAML}; {USE_CSV}"],
        ["top"],
    ),
    Bad(
        "CSV with tabs and a character that ends the reading",
        "users.txt",
        b"title\temail\tname\nBoss\tjane@example.com\tJ\xfcrgen\n",
        [
            (
                "users.txt:2:24: the file is not UTF-8 from here on (Latin-1 or Windows-1252 look "
                f"like this): save it as UTF-8; {USE_CSV}"
            )
        ],
        ["encoding"],
    ),
    Bad(
        "CSV in quotes with semicolons, taken as YAML",
        "users",
        b'"name";"email"\n"Jane";"jane@example.com"\n',
        [f"users:1:1: {NOT_YAML}; {USE_CSV}"],
        ["top"],
    ),
    Bad(
        "CSV with a line for Excel, taken as YAML",
        "users.txt",
        b"sep=;\nname;email\n",
        [f"users.txt:1:1: {NOT_YAML}; {USE_CSV}"],
        ["top"],
    ),
    Bad(
        "a text that is neither YAML nor CSV: --format csv is not proposed",
        "users.txt",
        b"the name and the email, please\n",
        [f"users.txt:1:1: {NOT_YAML}; it was read as YAML: use --format if it is not"],
        ["top"],
    ),
    Bad(
        "JSON Lines taken as YAML: --format csv is not proposed",
        "users.txt",
        b'{"name": "Cid", "email": "cid@example.com"}\n{"name": "Dee", "email": "d@d.io"}\n',
        [
            "users.txt:1:2: unknown key 'name': the file holds one key, 'create_users'",
            "users.txt:1:17: unknown key 'email': the file holds one key, 'create_users'",
            "users.txt:2:1: not valid YAML: something follows the end of the document: remove it",
        ],
        ["unknown_key", "unknown_key", "syntax"],
    ),
]
