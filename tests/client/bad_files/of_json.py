"""Invalid JSON and JSON Lines files, and the problems of each."""

from tests.client.bad_files.bad import Bad

ONE_KEY = "the file holds one key, 'create_users'"
USE_JSONL = "if the file has one object a line, use --format jsonl"
MUST = "must be true or false"
BOOLEANS = "write true or false, without quotes"

JSON = [
    Bad(
        "a comma too many in a list",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com"},\n]}\n'),
        ["users.json:2:48: not valid JSON: a ',' before the ']': remove it"],
        ["syntax"],
    ),
    Bad(
        "a comma too many in a user",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com",}\n]}\n'),
        ["users.json:2:47: not valid JSON: a ',' before the '}': remove it"],
        ["syntax"],
    ),
    Bad(
        "a comma too many at the top",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com"}\n],}\n'),
        ["users.json:3:2: not valid JSON: a ',' before the '}': remove it"],
        ["syntax"],
    ),
    Bad(
        "a comma forgotten between users",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com"}\n'
            b'  {"name": "Joe", "email": "joe@example.com"}\n'
            b"]}\n"
        ),
        ["users.json:3:3: not valid JSON: ',' or ']' is missing here"],
        ["syntax"],
    ),
    Bad(
        "a comma forgotten between fields",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane" "email": "jane@example.com"}\n]}\n'),
        ["users.json:2:19: not valid JSON: ',' or '}' is missing here"],
        ["syntax"],
    ),
    Bad(
        "a colon forgotten",
        "users.json",
        (b'{"create_users": [\n  {"name" "Jane"}\n]}\n'),
        ["users.json:2:11: not valid JSON: ':' is missing after a key"],
        ["syntax"],
    ),
    Bad(
        "other types where a text belongs",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": 5, "email": ["a"], "password": true, "lastname": {}, "title": 1.5}\n'
            b"]}\n"
        ),
        [
            "users.json:2:12: create_users[0].name: must be a text in double quotes, not a number",
            "users.json:2:24: create_users[0].email: must be a text in double quotes, not a list",
            (
                "users.json:2:43: create_users[0].password: must be a text in double quotes, not "
                "true or false"
            ),
            "users.json:2:61: create_users[0].lastname: must be a text in double quotes, not a map",
            "users.json:2:74: create_users[0].title: must be a text in double quotes, not a number",
        ],
        ["type", "type", "type", "type", "type"],
    ),
    Bad(
        "null for a name and an email",
        "users.json",
        (b'{"create_users": [\n  {"name": null, "email": null}\n]}\n'),
        [
            "users.json:2:12: create_users[0].name: is empty: every user has one",
            "users.json:2:27: create_users[0].email: is empty: every user has one",
        ],
        ["required", "required"],
    ),
    Bad(
        "is_sso_user in quotes, a number and null",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "A", "email": "a@example.com", "is_sso_user": "true"},\n'
            b'  {"name": "B", "email": "b@example.com", "is_sso_user": 1},\n'
            b'  {"name": "C", "email": "c@example.com", "is_sso_user": null}\n'
            b"]}\n"
        ),
        [
            f"users.json:2:58: create_users[0].is_sso_user: {MUST}: {BOOLEANS}",
            f"users.json:3:58: create_users[1].is_sso_user: {MUST}: {BOOLEANS}",
            f"users.json:4:58: create_users[2].is_sso_user: {MUST}: {BOOLEANS}",
        ],
        ["type", "type", "type"],
    ),
    Bad(
        "numbers that are huge, or no numbers",
        "users.json",
        b'{"create_users": [\n  {"name": ' + b"9" * 5000 + b', "email": NaN}\n]}\n',
        [
            "users.json:2:12: create_users[0].name: must be a text in double quotes, not a number",
            (
                "users.json:2:5023: create_users[0].email: must be a text in double quotes, not a"
                " number"
            ),
        ],
        ["type", "type"],
    ),
    Bad(
        "a text that is never closed",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com'),
        ["users.json:2:29: not valid JSON: the double quote that opens here is never closed"],
        ["syntax"],
    ),
    Bad(
        "a text that goes over its line",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane,\n   "email": "jane@example.com"}\n]}\n'),
        [
            (
                "users.json:2:18: not valid JSON: a line break or a control character inside a "
                "text: remove it, or close the quote before it"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a file that was cut off",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com"}'),
        ["users.json:2:48: not valid JSON: ',' or ']' is missing here"],
        ["syntax"],
    ),
    Bad(
        "two values",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com"}\n]}\n[]\n'),
        ["users.json:4:1: something follows the end of the users: remove it"],
        ["documents"],
    ),
    Bad(
        "JSON Lines",
        "users.json",
        b'{"name": "Jane", "email": "jane@example.com"}\n{"name": "Joe"}\n',
        [
            f"users.json:1:2: unknown key 'name': {ONE_KEY}; {USE_JSONL}",
            f"users.json:1:18: unknown key 'email': {ONE_KEY}; {USE_JSONL}",
            f"users.json:2:1: an object follows: {USE_JSONL}",
        ],
        ["unknown_key", "unknown_key", "documents"],
    ),
    Bad(
        "one line of JSON Lines",
        "users.json",
        b'{"email": "jane@example.com", "title": "Boss"}\n',
        [
            f"users.json:1:2: unknown key 'email': {ONE_KEY}; {USE_JSONL}",
            f"users.json:1:31: unknown key 'title': {ONE_KEY}",
        ],
        ["unknown_key", "unknown_key"],
    ),
    Bad(
        "nesting that is too deep",
        "users.json",
        b'{"create_users": [\n  {"name": ' + b"[" * 100_000,
        ["users.json:2:12: nested too deeply for a users file"],
        ["depth"],
    ),
    Bad(
        "deep nesting in place of the list",
        "users.json",
        b'{"create_users": ' + b'{"a":' * 100_000,
        [
            "users.json:1:18: 'create_users' must hold a list ([] is an empty one)",
            "users.json:1:18: nested too deeply for a users file",
        ],
        ["type", "depth"],
    ),
    Bad(
        "a lone surrogate",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "title": "\\ud800"}\n'
            b"]}\n"
        ),
        [
            (
                "users.json:2:58: create_users[0].title: has the invisible character U+D800 at "
                "character 1: remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "control and bidirectional characters",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "a\\u0000b", "email": "jane@example.com", "title": "\\u202egnp"}\n'
            b"]}\n"
        ),
        [
            (
                "users.json:2:12: create_users[0].name: has the invisible character U+0000 at "
                "character 2: remove it"
            ),
            (
                "users.json:2:62: create_users[0].title: has the invisible character U+202E at "
                "character 1: remove it"
            ),
        ],
        ["character", "character"],
    ),
    Bad(
        "unknown keys",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "e-mail": "x", "nickname": "y"}\n'
            b"]}\n"
        ),
        [
            "users.json:2:49: create_users[0]: unknown key 'e-mail': did you mean 'email'?",
            "users.json:2:64: create_users[0]: unknown key 'nickname': did you mean 'name'?",
        ],
        ["unknown_key", "unknown_key"],
    ),
    Bad(
        "a key twice",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "name": "Joe"}\n'
            b"]}\n"
        ),
        ["users.json:2:49: create_users[0].name: is there a second time"],
        ["duplicate_key"],
    ),
    Bad(
        "missing fields",
        "users.json",
        b'{"create_users": [{}]}\n',
        [
            "users.json:1:19: create_users[0].name: is missing: every user has one",
            "users.json:1:19: create_users[0].email: is missing: every user has one",
        ],
        ["required", "required"],
    ),
    Bad(
        "an email twice",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com"},\n'
            b'  {"name": "Jane", "email": "JANE@example.com"}\n'
            b"]}\n"
        ),
        [
            (
                "users.json:3:29: create_users[1].email: 'JANE@example.com' is also the email "
                "of line 2, column 29 (Jane)"
            )
        ],
        ["email_duplicate"],
    ),
    Bad(
        "a short password",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "password": "s3cret!"}\n'
            b"]}\n"
        ),
        ["users.json:2:61: create_users[0].password: is shorter than 8 characters"],
        ["password_too_short"],
    ),
    Bad(
        "a list at the top: problems have their places",
        "users.json",
        b'[{"name": "Jane", "email": "jane"},\n {"E-Mail": "joe@example.com", "name": 5}, 7]\n',
        [
            "users.json:1:28: create_users[0].email: 'jane' is not an email address",
            "users.json:2:3: create_users[1]: unknown key 'E-Mail': did you mean 'email'?",
            (
                "users.json:2:40: create_users[1].name: must be a text in double quotes, "
                "not a number"
            ),
            "users.json:2:44: create_users[2]: a user must be a map: name, email and so on",
        ],
        ["email_invalid", "unknown_key", "type", "type"],
    ),
    Bad(
        "a list at the top, and something after it",
        "users.json",
        b'[{"name": "Jane", "email": "jane@example.com"}]\n[]\n',
        ["users.json:2:1: something follows the end of the users: remove it"],
        ["documents"],
    ),
    Bad(
        "a list at the top that is never closed",
        "users.json",
        b'[{"name": "Jane", "email": "jane@example.com"}\n',
        ["users.json:2:1: not valid JSON: ',' or ']' is missing here"],
        ["syntax"],
    ),
    Bad(
        "a word and a password for is_sso_user",
        "users.json",
        (
            b'[{"name": "A", "email": "a@example.com", "is_sso_user": "nope"},\n'
            b' {"name": "B", "email": "b@example.com", "is_sso_user": "nope", "password": "no"},\n'
            b' {"name": "C", "email": "c@example.com", "is_sso_user": "s3cret!"}]\n'
        ),
        [
            f"users.json:1:57: create_users[0].is_sso_user: {MUST}, not 'nope': {BOOLEANS}",
            f"users.json:2:57: create_users[1].is_sso_user: {MUST}: {BOOLEANS}",
            "users.json:2:77: create_users[1].password: is shorter than 8 characters",
            f"users.json:3:57: create_users[2].is_sso_user: {MUST}: {BOOLEANS}",
        ],
        ["type", "type", "password_too_short", "type"],
    ),
    Bad(
        "null at the top",
        "users.json",
        b"null\n",
        [
            (
                "users.json:1:1: the file must hold a list of users, or a map with one: "
                '{"create_users": [{"name": "Jane", "email": "jane@example.com"}]}'
            )
        ],
        ["top"],
    ),
    Bad(
        "another key at the top",
        "users.json",
        b'{"users": []}\n',
        ["users.json:1:2: unknown key 'users': the file holds one key, 'create_users'"],
        ["unknown_key"],
    ),
    Bad(
        "one key more at the top",
        "users.json",
        (b'{"create_users": [\n  {"name": "Jane", "email": "jane@example.com"}], "version": 2}\n'),
        ["users.json:2:51: unknown key 'version': the file holds one key, 'create_users'"],
        ["unknown_key"],
    ),
    Bad(
        "create_users twice",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com"}], "create_users": []}\n'
        ),
        ["users.json:2:51: the key 'create_users' is there a second time"],
        ["duplicate_key"],
    ),
    Bad(
        "create_users holds a map",
        "users.json",
        b'{"create_users": {"name": "Jane"}}\n',
        ["users.json:1:18: 'create_users' must hold a list ([] is an empty one)"],
        ["type"],
    ),
    Bad(
        "create_users holds null",
        "users.json",
        b'{"create_users": null}\n',
        ["users.json:1:18: 'create_users' must hold a list ([] is an empty one)"],
        ["type"],
    ),
    Bad(
        "an empty map",
        "users.json",
        b"{}\n",
        [
            (
                'users.json:1:1: the file has no users: it needs {"create_users": [{"name": '
                '"Jane", "email": "jane@example.com"}]}'
            )
        ],
        ["empty"],
    ),
    Bad(
        "entries that are not maps",
        "users.json",
        b'{"create_users": [null, 1, "Jane", []]}\n',
        [
            "users.json:1:19: create_users[0]: a user must be a map: name, email and so on",
            "users.json:1:25: create_users[1]: a user must be a map: name, email and so on",
            "users.json:1:28: create_users[2]: a user must be a map: name, email and so on",
            "users.json:1:36: create_users[3]: a user must be a map: name, email and so on",
        ],
        ["type", "type", "type", "type"],
    ),
    Bad(
        "single quotes",
        "users.json",
        b"{'create_users': []}\n",
        ["users.json:1:2: not valid JSON: a key in double quotes is missing here"],
        ["syntax"],
    ),
    Bad(
        "keys without quotes",
        "users.json",
        b'{"create_users": [{name: "Jane"}]}\n',
        ["users.json:1:20: not valid JSON: a key in double quotes is missing here"],
        ["syntax"],
    ),
    Bad(
        "True with a capital",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "is_sso_user": True}\n'
            b"]}\n"
        ),
        [
            (
                "users.json:2:64: not valid JSON: a value is missing here: a text in double "
                "quotes, true, false or null"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a comment",
        "users.json",
        (b'{"create_users": [\n  // everybody\n]}\n'),
        [
            (
                "users.json:2:3: not valid JSON: a value is missing here: a text in double "
                "quotes, true, false or null"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a backslash",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "title": "CORP\\jane"}\n'
            b"]}\n"
        ),
        ["users.json:2:63: not valid JSON: an unknown escape: write \\\\ for a backslash"],
        ["syntax"],
    ),
    Bad(
        "an escape that is cut off",
        "users.json",
        (
            b'{"create_users": [\n'
            b'  {"name": "Jane", "email": "jane@example.com", "title": "\\u12"}\n'
            b"]}\n"
        ),
        ["users.json:2:60: not valid JSON: invalid \\uXXXX escape"],
        ["syntax"],
    ),
    Bad(
        "an entry of more than a MiB",
        "users.json",
        b'{"create_users": [\n  {"name": "' + b"x" * 2_000_000 + b'"}\n]}\n',
        [
            "users.json:2:3: create_users[0].email: is missing: every user has one",
            "users.json:2:12: create_users[0].name: has 2000000 characters; 256 are allowed",
        ],
        ["required", "too_long"],
    ),
]

JSON_LINES = [
    Bad(
        "a broken line, a right one and a wrong email",
        "users.jsonl",
        (
            b'{"name": "Jane", "email": "jane@example.com"}\n'
            b'{"name": "Joe", "email": joe@example.com}\n'
            b'{"name": "Joe", "email": "joe@example.com"}\n'
            b'{"name": "Ann", "email": "ann"}\n'
        ),
        [
            (
                "users.jsonl:2:26: create_users[1]: not valid JSON: a value is missing here: a "
                "text in double quotes, true, false or null"
            ),
            "users.jsonl:4:26: create_users[3].email: 'ann' is not an email address",
        ],
        ["syntax", "email_invalid"],
    ),
    Bad(
        "a line that ends before its user does",
        "users.jsonl",
        (
            b'{"name": "Jane", "email": "jane@example.com"}\n'
            b'{"name": "Ann", "email": "ann@example.com"\n'
            b'{"name": "Joe", "email": "joe@example.com"}\n'
            b'{"name": "Bob", "email": "bob"}\n'
        ),
        [
            (
                "users.jsonl:2:43: create_users[1]: not valid JSON: the line ends before its user"
                " does: one line, one user"
            ),
            "users.jsonl:4:26: create_users[3].email: 'bob' is not an email address",
        ],
        ["syntax", "email_invalid"],
    ),
    Bad(
        "a broken line before an email that is there twice",
        "users.jsonl",
        (
            b"oops\n"
            b'{"name": "Jane", "email": "jane@example.com"}\n'
            b'{"name": "Jane", "email": "jane@example.com"}\n'
        ),
        [
            (
                "users.jsonl:1:1: create_users[0]: not valid JSON: a value is missing here: a "
                "text in double quotes, true, false or null"
            ),
            (
                "users.jsonl:3:27: create_users[2].email: 'jane@example.com' is also the email "
                "of line 2, column 27 (Jane)"
            ),
        ],
        ["syntax", "email_duplicate"],
    ),
    Bad(
        "two users on a line",
        "users.jsonl",
        b'{"name": "A", "email": "a@example.com"}{"name": "B", "email": "b@example.com"}\n',
        [
            (
                "users.jsonl:1:40: create_users[0]: not valid JSON: something follows the user on"
                " its line: one line, one user"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a user over several lines",
        "users.jsonl",
        (
            b'{"name": "Jane",\n'
            b' "email": "jane@example.com"}\n'
            b'{"name": "Joe", "email": "joe@example.com"}\n'
        ),
        [
            (
                "users.jsonl:1:17: create_users[0]: not valid JSON: the line ends before its user"
                " does: one line, one user"
            ),
            (
                "users.jsonl:2:9: create_users[1]: not valid JSON: something follows the user on "
                "its line: one line, one user"
            ),
        ],
        ["syntax", "syntax"],
    ),
    Bad(
        "a mistake that is noticed lines later",
        "users.jsonl",
        (
            b"{\n"
            b"\n"
            b'"name": 5 5,\n'
            b'{"name": "Jane", "email": "jane@example.com"}\n'
            b'{"name": "Bob", "email": "bob"}\n'
        ),
        [
            (
                "users.jsonl:1:2: create_users[0]: not valid JSON: the line ends before its user "
                "does: one line, one user"
            ),
            (
                "users.jsonl:3:7: create_users[1]: not valid JSON: something follows the user on "
                "its line: one line, one user"
            ),
            "users.jsonl:5:26: create_users[3].email: 'bob' is not an email address",
        ],
        ["syntax", "syntax", "email_invalid"],
    ),
    Bad(
        "a quote that is never closed",
        "users.jsonl",
        (
            b'{"name": "Jane, "email": "jane@example.com"}\n'
            b'{"name": "Ann\n'
            b'{"name": "Joe", "email": "joe@example.com"}\n'
        ),
        [
            "users.jsonl:1:18: create_users[0]: not valid JSON: ',' or '}' is missing here",
            (
                "users.jsonl:2:14: create_users[1]: not valid JSON: a line break or a control "
                "character inside a text: remove it, or close the quote before it"
            ),
        ],
        ["syntax", "syntax"],
    ),
    Bad(
        "lines that are not maps",
        "users.jsonl",
        (b'1\n[]\n"Jane"\nnull\n{"name": "Jane", "email": "jane@example.com"}\n'),
        [
            "users.jsonl:1:1: create_users[0]: a user must be a map: name, email and so on",
            "users.jsonl:2:1: create_users[1]: a user must be a map: name, email and so on",
            "users.jsonl:3:1: create_users[2]: a user must be a map: name, email and so on",
            "users.jsonl:4:1: create_users[3]: a user must be a map: name, email and so on",
        ],
        ["type", "type", "type", "type"],
    ),
    Bad(
        "commas after the lines",
        "users.jsonl",
        (
            b'{"name": "Jane", "email": "jane@example.com"},\n'
            b'{"name": "Joe", "email": "joe@example.com"}\n'
        ),
        [
            (
                "users.jsonl:1:46: create_users[0]: not valid JSON: something follows the user on"
                " its line: one line, one user"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a list",
        "users.jsonl",
        (
            b'[{"name": "Jane", "email": "jane@example.com"},\n'
            b'{"name": "Joe", "email": "joe@example.com"}]\n'
        ),
        [
            (
                "users.jsonl:1:48: create_users[0]: not valid JSON: the line ends before its user"
                " does: one line, one user"
            ),
            (
                "users.jsonl:2:44: create_users[1]: not valid JSON: something follows the user on"
                " its line: one line, one user"
            ),
        ],
        ["syntax", "syntax"],
    ),
    Bad(
        "a JSON file",
        "users.jsonl",
        b'{"create_users": []}\n',
        [
            "users.jsonl:1:1: create_users[0].name: is missing: every user has one",
            "users.jsonl:1:1: create_users[0].email: is missing: every user has one",
            (
                "users.jsonl:1:2: create_users[0]: unknown key 'create_users': the keys are name,"
                " email, password, is_sso_user, lastname, title, external_id, password_hash"
            ),
        ],
        ["required", "required", "unknown_key"],
    ),
    Bad(
        "nesting that is too deep on one line",
        "users.jsonl",
        b'{"name": ' + b"[" * 100_000 + b'\n{"name": "Jane", "email": "jane"}\n',
        [
            "users.jsonl:1:10: create_users[0]: nested too deeply for a users file",
            "users.jsonl:2:27: create_users[1].email: 'jane' is not an email address",
        ],
        ["depth", "email_invalid"],
    ),
    Bad(
        "a last line that was cut off",
        "users.jsonl",
        (b'{"name": "Jane", "email": "jane@example.com"}\n{"name": "Joe"'),
        ["users.jsonl:2:15: create_users[1]: not valid JSON: ',' or '}' is missing here"],
        ["syntax"],
    ),
    Bad(
        "an entry of more than a MiB",
        "users.jsonl",
        b'{"name": "Jane", "email": "jane"}\n{"name": "' + b"x" * 2_000_000,
        [
            "users.jsonl:1:27: create_users[0].email: 'jane' is not an email address",
            (
                "users.jsonl:2:10: create_users[1]: not valid JSON: the double quote that opens "
                "here is never closed"
            ),
        ],
        ["email_invalid", "syntax"],
    ),
]
