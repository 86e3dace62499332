"""Invalid YAML files, and the problems of each."""

from tests.client.bad_files.bad import Bad

MUST = "must be true or false"
BOOLEANS = "write true, yes or on, or else false, no or off, without quotes"

YAML = [
    Bad(
        "fields at the margin: one problem, and not those that it causes",
        "users.yaml",
        b"create_users:\n- name: Jane\nemail: jane@example.com\nlastname: Doe\n- name: Ann\n",
        ["users.yaml:3:1: indent 'email' under the user of line 2"],
        ["syntax"],
    ),
    Bad(
        "a field of the second user at the margin, and the problem of the first one",
        "users.yaml",
        (
            b"create_users:\n- name: Jane\n  email: foo\n- name: Ann\n  email: ann@example.com\n"
            b"title: Boss\n"
        ),
        [
            "users.yaml:3:10: create_users[0].email: 'foo' is not an email address",
            "users.yaml:6:1: indent 'title' under the user of line 4",
        ],
        ["email_invalid", "syntax"],
    ),
    Bad(
        "the words of a spreadsheet, which only CSV has",
        "users.yaml",
        (b"create_users:\n- {name: Jane, email: jane@example.com, is_sso_user: WAHR}\n"),
        [
            f"users.yaml:2:54: create_users[0].is_sso_user: {MUST}, not 'WAHR': {BOOLEANS}",
        ],
        ["type"],
    ),
    Bad(
        "the values of password and is_sso_user swapped: none is shown",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: Jane, email: jane@example.com, password: yes, is_sso_user: xyzzy}\n"
        ),
        [
            "users.yaml:2:51: create_users[0].password: is shorter than 8 characters",
            f"users.yaml:2:69: create_users[0].is_sso_user: {MUST}: {BOOLEANS}",
        ],
        ["password_too_short", "type"],
    ),
    Bad(
        "a password that became a key without a value is not shown",
        "users.yaml",
        b"create_users:\n- name: Jane\n  email: jane@example.com\n  hunter2secret:\n",
        [
            (
                "users.yaml:4:3: create_users[0]: unknown key: the keys are name, email, password, "
                "is_sso_user, lastname, title, external_id, password_hash; put a text that holds "
                "', ' in quotes"
            )
        ],
        ["unknown_key"],
    ),
    Bad(
        "an unknown key, and the one that was meant",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  pasword: correct-horse\n"),
        ["users.yaml:4:3: create_users[0]: unknown key 'pasword': did you mean 'password'?"],
        ["unknown_key"],
    ),
    Bad(
        "an unknown key in capitals",
        "users.yaml",
        (b"create_users:\n- Name: Jane\n  email: jane@example.com\n"),
        [
            "users.yaml:2:3: create_users[0]: unknown key 'Name': did you mean 'name'?",
        ],
        ["unknown_key"],
    ),
    Bad(
        "unknown keys for both fields that every user has, in other words",
        "users.yaml",
        (b"create_users:\n- First Name: Jane\n  Courriel: jane@example.com\n  Family-Name: Doe\n"),
        [
            "users.yaml:2:3: create_users[0]: unknown key 'First Name': did you mean 'name'?",
            "users.yaml:3:3: create_users[0]: unknown key 'Courriel': did you mean 'email'?",
            "users.yaml:4:3: create_users[0]: unknown key 'Family-Name': did you mean 'lastname'?",
        ],
        ["unknown_key"] * 3,
    ),
    Bad(
        "an unknown key for one field, and none for the other",
        "users.yaml",
        (b"create_users:\n- Name: Jane\n"),
        [
            "users.yaml:2:3: create_users[0]: unknown key 'Name': did you mean 'name'?",
            "users.yaml:2:3: create_users[0].email: is missing: every user has one",
        ],
        ["unknown_key", "required"],
    ),
    Bad(
        "an unknown key that is like none",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  department: Sales\n"),
        [
            (
                "users.yaml:4:3: create_users[0]: unknown key 'department': the keys are name, "
                "email, password, is_sso_user, lastname, title, external_id, password_hash"
            )
        ],
        ["unknown_key"],
    ),
    Bad(
        "a key twice",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"  title: Engineer\n"
            b"  title: Manager\n"
        ),
        ["users.yaml:5:3: create_users[0].title: is there a second time: the first is on line 4"],
        ["duplicate_key"],
    ),
    Bad(
        "no name",
        "users.yaml",
        (b"create_users:\n- email: jane@example.com\n"),
        ["users.yaml:2:3: create_users[0].name: is missing: every user has one"],
        ["required"],
    ),
    Bad(
        "no email",
        "users.yaml",
        (b"create_users:\n- name: Jane\n"),
        ["users.yaml:2:3: create_users[0].email: is missing: every user has one"],
        ["required"],
    ),
    Bad(
        "null for a name and an email",
        "users.yaml",
        (b"create_users:\n- name: null\n  email: ~\n"),
        [
            "users.yaml:2:9: create_users[0].name: is empty: every user has one",
            "users.yaml:3:10: create_users[0].email: is empty: every user has one",
        ],
        ["required", "required"],
    ),
    Bad(
        "nothing for a name and an email",
        "users.yaml",
        (b"create_users:\n- name:\n  email:\n"),
        [
            "users.yaml:2:8: create_users[0].name: is empty: every user has one",
            "users.yaml:3:9: create_users[0].email: is empty: every user has one",
        ],
        ["required", "required"],
    ),
    Bad(
        "Null for a name and NULL for a password",
        "users.yaml",
        (b"create_users:\n- name: Null\n  email: jane@example.com\n  password: NULL\n"),
        [
            (
                "users.yaml:2:9: create_users[0].name: Null is unclear: write 'Null' in quotes if"
                " it is the text, or null if there is none"
            ),
            (
                "users.yaml:4:13: create_users[0].password: NULL is unclear: write 'NULL' in "
                "quotes if it is the text, or null if there is none"
            ),
        ],
        ["type", "type"],
    ),
    Bad(
        "a blank name",
        "users.yaml",
        (b"create_users:\n- name: '  '\n  email: jane@example.com\n"),
        ["users.yaml:2:9: create_users[0].name: is blank: every user has a name"],
        ["blank"],
    ),
    Bad(
        "an empty name in quotes",
        "users.yaml",
        (b"create_users:\n- name: ''\n  email: jane@example.com\n"),
        ["users.yaml:2:9: create_users[0].name: is blank: every user has a name"],
        ["blank"],
    ),
    Bad(
        "lists and maps where a text belongs",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: [Jane]\n"
            b"  email: {is: jane@example.com}\n"
            b"  password: [correct-horse]\n"
            b"  is_sso_user: [true]\n"
            b"  lastname: {}\n"
            b"  title: []\n"
        ),
        [
            (
                "users.yaml:2:9: create_users[0].name: must be one value, not a list; put a text "
                "that begins with [ or { in quotes"
            ),
            (
                "users.yaml:3:10: create_users[0].email: must be one value, not a map; put a text"
                " that begins with [ or { in quotes"
            ),
            (
                "users.yaml:4:13: create_users[0].password: must be one value, not a list; put a "
                "text that begins with [ or { in quotes"
            ),
            (
                "users.yaml:5:16: create_users[0].is_sso_user: must be one value, not a list; put"
                " a text that begins with [ or { in quotes"
            ),
            (
                "users.yaml:6:13: create_users[0].lastname: must be one value, not a map; put a "
                "text that begins with [ or { in quotes"
            ),
            (
                "users.yaml:7:10: create_users[0].title: must be one value, not a list; put a "
                "text that begins with [ or { in quotes"
            ),
        ],
        ["type", "type", "type", "type", "type", "type"],
    ),
    Bad(
        "true in quotes for is_sso_user",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  is_sso_user: 'true'\n"),
        [f"users.yaml:4:16: create_users[0].is_sso_user: {MUST}: {BOOLEANS}"],
        ["type"],
    ),
    Bad(
        "a number for is_sso_user",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  is_sso_user: 1\n"),
        [f"users.yaml:4:16: create_users[0].is_sso_user: {MUST}, not '1': {BOOLEANS}"],
        ["type"],
    ),
    Bad(
        "nothing for is_sso_user",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  is_sso_user:\n"),
        [f"users.yaml:4:15: create_users[0].is_sso_user: {MUST}: {BOOLEANS}"],
        ["type"],
    ),
    Bad(
        "an email without an at-sign",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane.example.com\n"),
        ["users.yaml:3:10: create_users[0].email: 'jane.example.com' is not an email address"],
        ["email_invalid"],
    ),
    Bad(
        "an email without a name",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: '@example.com'\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: '@example.com' is not an email address: "
                "there must be something before the @-sign"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email without a domain",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@' is not an email address: there "
                "must be something after the @-sign"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email whose domain has no dot",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@localhost\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@localhost' is not an email "
                "address: the part after the @-sign is not valid. It should have a period"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with two at-signs",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@home@example.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@home@example.com' is not an email "
                "address: the part after the @-sign contains invalid characters: '@'"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with two dots in a row",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane..doe@example.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane..doe@example.com' is not an email "
                "address: an email address cannot have two periods in a row"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with a blank in it",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane doe@example.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane doe@example.com' is not an email "
                "address: the email address contains invalid characters before the @-sign: SPACE"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with an underscore in its domain",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@my_company.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@my_company.com' is not an email "
                "address: the part after the @-sign contains invalid characters: '_'"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with a display name",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: Jane <jane@example.com>\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'Jane <jane@example.com>' is not an "
                "email address: a display name and angle brackets around the email address are "
                "not permitted here"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with a quoted name",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: '\"jane doe\"@example.com'\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: '\"jane doe\"@example.com' is not an email"
                " address: quoting the part before the @-sign is not allowed here"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email at an IP address",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@[192.0.2.1]\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@[192.0.2.1]' is not an email "
                "address: a bracketed IP address after the @-sign is not allowed here"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email that ends with a dot",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com.\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@example.com.' is not an email "
                "address: an email address cannot end with a period"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email with false Punycode",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@xn--a.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@xn--a.com' is not an email "
                "address: the part after the @-sign is not valid IDNA (Codepoint U+0080 at "
                "position 1 of '\\x80' not allowed)"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "two emails in one",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com, joe@example.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: 'jane@example.com, joe@example.com' is "
                "not an email address: the part after the @-sign contains invalid characters: "
                "',', '@', SPACE"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "blanks around an email",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: ' jane@example.com '\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: ' jane@example.com ' is not an email "
                "address: remove the blanks around it"
            )
        ],
        ["email_invalid"],
    ),
    Bad(
        "an email of more than 254 octets",
        "users.yaml",
        b"create_users:\n- name: Jane\n  email: jane@" + b"example." * 40 + b"com\n",
        [
            (
                "users.yaml:3:10: create_users[0].email: has 328 octets; an email address has at "
                "most 254"
            )
        ],
        ["too_long"],
    ),
    Bad(
        "an email twice",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: Jane, email: jane@example.com}\n"
            b"- {name: Jane, email: Jane@EXAMPLE.com}\n"
        ),
        [
            (
                "users.yaml:3:23: create_users[1].email: 'Jane@EXAMPLE.com' is also the email "
                "of line 2, column 23 (Jane)"
            )
        ],
        ["email_duplicate"],
    ),
    Bad(
        "an email three times",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: A, email: a@example.com}\n"
            b"- {name: B, email: b@example.com}\n"
            b"- {name: A, email: A@example.com}\n"
            b"- {name: A, email: a@Example.com}\n"
        ),
        [
            (
                "users.yaml:4:20: create_users[2].email: 'A@example.com' is also the email of "
                "line 2, column 20 (A)"
            ),
            (
                "users.yaml:5:20: create_users[3].email: 'a@Example.com' is also the email of "
                "line 2, column 20 (A)"
            ),
        ],
        ["email_duplicate", "email_duplicate"],
    ),
    Bad(
        "an email in both spellings of its domain",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: A, email: a@b\xc3\xbccher.example.com}\n"
            b"- {name: A, email: a@xn--bcher-kva.example.com}\n"
        ),
        [
            (
                "users.yaml:3:20: create_users[1].email: 'a@xn--bcher-kva.example.com' is also "
                "the email of line 2, column 20 (A)"
            )
        ],
        ["email_duplicate"],
    ),
    Bad(
        "an email twice, in entries that are wrong otherwise",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: '', email: a@example.com}\n"
            b"- {name: A, email: a@example.com, titel: x}\n"
        ),
        [
            "users.yaml:2:10: create_users[0].name: is blank: every user has a name",
            (
                "users.yaml:3:20: create_users[1].email: 'a@example.com' is also the email of "
                "line 2, column 21"
            ),
            "users.yaml:3:35: create_users[1]: unknown key 'titel': did you mean 'title'?",
        ],
        ["blank", "email_duplicate", "unknown_key"],
    ),
    Bad(
        "a tab in a title",
        "users.yaml",
        (b'create_users:\n- name: Jane\n  email: jane@example.com\n  title: "a\\tb"\n'),
        ["users.yaml:4:10: create_users[0].title: has a tab at character 2: remove it"],
        ["character"],
    ),
    Bad(
        "a line break in a title",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"  title: |\n"
            b"    Engineer\n"
            b"    and more\n"
        ),
        ["users.yaml:4:10: create_users[0].title: has a line break at character 9: remove it"],
        ["character"],
    ),
    Bad(
        "an escaped NUL in a name",
        "users.yaml",
        (b'create_users:\n- name: "Ja\\0ne"\n  email: jane@example.com\n'),
        [
            (
                "users.yaml:2:9: create_users[0].name: has the invisible character U+0000 at "
                "character 3: remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a character that turns the direction of a title",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"  title: Engineer \xe2\x80\xaegnp.exe\n"
        ),
        [
            (
                "users.yaml:4:10: create_users[0].title: has the invisible character U+202E at "
                "character 10: remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "an invisible character in an email",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: ja\xe2\x80\x8fne@example.com\n"),
        [
            (
                "users.yaml:3:10: create_users[0].email: has the invisible character U+200F at "
                "character 3: remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a control character in a password",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b'  password: "correct\\u0007horse"\n'
        ),
        [
            (
                "users.yaml:4:13: create_users[0].password: has a control, bidirectional or "
                "surrogate character; a password cannot hold one"
            )
        ],
        ["character"],
    ),
    Bad(
        "a surrogate by its number",
        "users.yaml",
        (b'create_users:\n- name: Jane\n  email: jane@example.com\n  title: "\\uD800"\n'),
        [
            (
                "users.yaml:4:13: not valid YAML: YAML has no escapes in pairs, as JSON has for "
                "emoji: write the character itself, or name the file .json"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "names and a title that are too long",
        "users.yaml",
        b"create_users:\n- name: "
        + b"n" * 257
        + b"\n  email: jane@example.com\n  lastname: "
        + b"l" * 300
        + b"\n  title: "
        + b"t" * 1000,
        [
            "users.yaml:2:9: create_users[0].name: has 257 characters; 256 are allowed",
            "users.yaml:4:13: create_users[0].lastname: has 300 characters; 256 are allowed",
            "users.yaml:5:10: create_users[0].title: has 1000 characters; 256 are allowed",
        ],
        ["too_long", "too_long", "too_long"],
    ),
    Bad(
        "a password that is too long",
        "users.yaml",
        b"create_users:\n- name: Jane\n  email: jane@example.com\n  password: " + b"p1" * 513,
        ["users.yaml:4:13: create_users[0].password: is longer than 1024 characters"],
        ["password_too_long"],
    ),
    Bad(
        "passwords that are too short, common, and personal",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: Ann, email: a@example.com, password: s3cret!}\n"
            b"- {name: Bob, email: b@example.com, password: Password1}\n"
            b"- {name: Clara, email: c@example.com, password: i-am-CLARA-1}\n"
            b"- {name: Dan, email: dan.smith@example.com, password: dan.smith-99}\n"
        ),
        [
            "users.yaml:2:47: create_users[0].password: is shorter than 8 characters",
            (
                "users.yaml:3:47: create_users[1].password: is on the list of common passwords, "
                "which attackers try first"
            ),
            "users.yaml:4:49: create_users[2].password: contains the user's own name or email",
            "users.yaml:5:55: create_users[3].password: contains the user's own name or email",
        ],
        ["password_too_short", "password_common", "password_personal", "password_personal"],
    ),
    Bad(
        "another key at the top",
        "users.yaml",
        (b"users:\n- name: Jane\n  email: jane@example.com\n"),
        ["users.yaml:1:1: unknown key 'users': the file holds one key, 'create_users'"],
        ["unknown_key"],
    ),
    Bad(
        "one key more at the top",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\nversion: 2\n"),
        ["users.yaml:4:1: unknown key 'version': the file holds one key, 'create_users'"],
        ["unknown_key"],
    ),
    Bad(
        "create_users twice",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\ncreate_users: []\n"),
        ["users.yaml:4:1: the key 'create_users' is there a second time"],
        ["duplicate_key"],
    ),
    Bad(
        "a forgotten dash",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"name: Joe\n"
            b"email: joe@example.com\n"
        ),
        [
            "users.yaml:4:1: unknown key 'name': the file holds one key, 'create_users'",
            "users.yaml:5:1: unknown key 'email': the file holds one key, 'create_users'",
        ],
        ["unknown_key", "unknown_key"],
    ),
    Bad(
        "a list at the top",
        "users.yaml",
        (b"- name: Jane\n  email: jane@example.com\n"),
        [
            (
                "users.yaml:1:1: the file must begin with the key 'create_users:', and the list "
                "of users under it"
            )
        ],
        ["top"],
    ),
    Bad(
        "a text at the top",
        "users.yaml",
        b"Jane, jane@example.com\n",
        [
            (
                "users.yaml:1:1: the file must begin with the key 'create_users:', and the list "
                "of users under it"
            )
        ],
        ["top"],
    ),
    Bad(
        "null at the top",
        "users.yaml",
        b"~\n",
        [
            (
                "users.yaml:1:1: the file must begin with the key 'create_users:', and the list "
                "of users under it"
            )
        ],
        ["top"],
    ),
    Bad(
        "create_users holds a map",
        "users.yaml",
        (b"create_users:\n  name: Jane\n  email: jane@example.com\n"),
        [
            (
                "users.yaml:2:3: 'create_users' must hold a list, each user beginning with '- ' "
                "([] is an empty one)"
            )
        ],
        ["type"],
    ),
    Bad(
        "create_users holds a text",
        "users.yaml",
        b"create_users: Jane\n",
        [
            (
                "users.yaml:1:15: 'create_users' must hold a list, each user beginning with '- ' "
                "([] is an empty one)"
            )
        ],
        ["type"],
    ),
    Bad(
        "create_users holds nothing",
        "users.yaml",
        b"create_users:\n",
        [
            (
                "users.yaml:1:14: 'create_users' must hold a list, each user beginning with '- ' "
                "([] is an empty one)"
            )
        ],
        ["type"],
    ),
    Bad(
        "entries that are not maps",
        "users.yaml",
        (b"create_users:\n- Jane\n- [Jane]\n-\n- ~\n- name:Joe\n"),
        [
            (
                "users.yaml:2:3: create_users[0]: a user must be a map: name, email and so on, "
                "with a blank after each ':'"
            ),
            (
                "users.yaml:3:3: create_users[1]: a user must be a map: name, email and so on, "
                "with a blank after each ':'"
            ),
            (
                "users.yaml:4:2: create_users[2]: a user must be a map: name, email and so on, "
                "with a blank after each ':'"
            ),
            (
                "users.yaml:5:3: create_users[3]: a user must be a map: name, email and so on, "
                "with a blank after each ':'"
            ),
            (
                "users.yaml:6:3: create_users[4]: a user must be a map: name, email and so on, "
                "with a blank after each ':'"
            ),
        ],
        ["type", "type", "type", "type", "type"],
    ),
    Bad(
        "several documents",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"---\n"
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
        ),
        [
            (
                "users.yaml:4:1: a second document starts here: a users file holds one, so remove"
                " the line '---'"
            )
        ],
        ["documents"],
    ),
    Bad(
        "something after the end of the document",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n...\nname: Joe\n"),
        ["users.yaml:5:1: not valid YAML: something follows the end of the document: remove it"],
        ["syntax"],
    ),
    Bad(
        "an anchor and an alias as entries",
        "users.yaml",
        (b"create_users:\n- &jane\n  name: Jane\n  email: jane@example.com\n- *jane\n"),
        [
            (
                "users.yaml:2:3: create_users[0]: has a YAML anchor, which users files do not "
                "use; quote a text that begins with &"
            ),
            (
                "users.yaml:5:3: create_users[1]: is a YAML alias, which users files do not use; "
                "quote a text that begins with *"
            ),
        ],
        ["type", "type"],
    ),
    Bad(
        "an anchor and an alias as values",
        "users.yaml",
        (b"create_users:\n- name: &name Jane\n  email: jane@example.com\n  title: *name\n"),
        [
            (
                "users.yaml:2:9: create_users[0].name: has a YAML anchor, which users files do "
                "not use; quote a text that begins with &"
            ),
            (
                "users.yaml:4:10: create_users[0].title: is a YAML alias, which users files do "
                "not use; quote a text that begins with *"
            ),
        ],
        ["type", "type"],
    ),
    Bad(
        "an anchor on the list",
        "users.yaml",
        (b"create_users: &all\n- name: Jane\n"),
        [
            (
                "users.yaml:1:15: has a YAML anchor, which users files do not use; quote a text "
                "that begins with &"
            )
        ],
        ["type"],
    ),
    Bad(
        "an anchor on the key at the top",
        "users.yaml",
        (b"&top create_users:\n- name: Jane\n"),
        [
            (
                "users.yaml:1:1: has a YAML anchor, which users files do not use; quote a text "
                "that begins with &"
            )
        ],
        ["type"],
    ),
    Bad(
        "merge keys",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  <<: *defaults\n  titel: x\n"),
        [
            (
                "users.yaml:4:3: create_users[0]: merge keys (<<) are not used in users files: "
                "write the fields of each user out"
            ),
            "users.yaml:5:3: create_users[0]: unknown key 'titel': did you mean 'title'?",
        ],
        ["unknown_key", "unknown_key"],
    ),
    Bad(
        "tags",
        "users.yaml",
        (
            b"create_users:\n"
            b"- !user {name: Jane, email: jane@example.com}\n"
            b"- name: !!str Jane\n"
            b"  email: jane@example.com\n"
        ),
        [
            (
                "users.yaml:2:3: create_users[0]: has a YAML tag, which users files do not use; "
                "quote a text that begins with !"
            ),
            (
                "users.yaml:3:9: create_users[1].name: has a YAML tag, which users files do not "
                "use; quote a text that begins with !"
            ),
        ],
        ["type", "type"],
    ),
    Bad(
        "keys that are not texts",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b"  ? [title]\n"
            b"  : Engineer\n"
            b"  *key : x\n"
            b"  titel: y\n"
        ),
        [
            (
                "users.yaml:4:5: create_users[0]: a key must be one of name, email, password, "
                "is_sso_user, lastname, title, external_id, password_hash"
            ),
            (
                "users.yaml:6:3: create_users[0]: a key must be one of name, email, password, "
                "is_sso_user, lastname, title, external_id, password_hash"
            ),
            "users.yaml:7:3: create_users[0]: unknown key 'titel': did you mean 'title'?",
        ],
        ["type", "type", "unknown_key"],
    ),
    Bad(
        "nesting that is too deep",
        "users.yaml",
        b"create_users:\n- name: " + b"[" * 40,
        ["users.yaml:2:25: nested too deeply for a users file"],
        ["depth"],
    ),
    Bad(
        "indentation with a tab",
        "users.yaml",
        (b"create_users:\n- name: Jane\n\temail: jane@example.com\n"),
        ["users.yaml:3:1: not valid YAML: a tab in the indentation: indent with spaces"],
        ["syntax"],
    ),
    Bad(
        "a tab before a dash",
        "users.yaml",
        (b"create_users:\n\t- name: Jane\n"),
        [
            (
                "users.yaml:2:1: not valid YAML: a text cannot begin with this character (a tab, "
                "@, % or `): indent with spaces, and put such a text in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "indentation that does not fit",
        "users.yaml",
        (b"create_users:\n  - name: Jane\n    email: jane@example.com\n - name: Joe\n"),
        [
            (
                "users.yaml:4:2: not valid YAML: the indentation does not fit, or a quote before "
                "this place is not closed, or a text with quotes in it is not in quotes as a "
                "whole"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a key indented too far",
        "users.yaml",
        (b"create_users:\n- name: Jane\n   email: jane@example.com\n"),
        [
            (
                "users.yaml:3:9: not valid YAML: a ': ' where none can be: put a text that holds "
                "one in quotes, and check the indentation"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a key without a colon",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email jane@example.com\n  title: x\n"),
        ["users.yaml:3:3: not valid YAML: a key without ': ' after it"],
        ["syntax"],
    ),
    Bad(
        "a quote that is never closed",
        "users.yaml",
        (
            b"create_users:\n"
            b"- name: Jane\n"
            b"  email: jane@example.com\n"
            b'  title: "Engineer\n'
            b"- name: Joe\n"
            b"  email: joe@example.com\n"
        ),
        ["users.yaml:4:10: not valid YAML: the quote that opens here is never closed"],
        ["syntax"],
    ),
    Bad(
        "an apostrophe inside single quotes",
        "users.yaml",
        (b"create_users:\n- name: 'O'Neil'\n  email: oneil@example.com\n"),
        [
            (
                "users.yaml:2:12: not valid YAML: the indentation does not fit, or a quote before"
                " this place is not closed, or a text with quotes in it is not in quotes as a "
                "whole"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a brace that is never closed",
        "users.yaml",
        (
            b"create_users:\n"
            b"- {name: Jane, email: jane@example.com\n"
            b"- {name: Joe, email: joe@example.com}\n"
        ),
        [
            (
                "users.yaml:2:3: not valid YAML: the { that opens here is not closed, or a ',' is"
                " missing in it; put a text that begins with { in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a bracket that is never closed",
        "users.yaml",
        (b"create_users: [\n  {name: Jane, email: jane@example.com},\n"),
        [
            (
                "users.yaml:3:1: not valid YAML: a value is missing here, or a [ or { before is "
                "not closed; put a text that begins with , ] or } in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a colon and a blank in a plain text",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: Engineer: Platform\n"),
        [
            (
                "users.yaml:4:18: not valid YAML: a ': ' where none can be: put a text that holds"
                " one in quotes, and check the indentation"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a plain text that begins with an at-sign",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: @home\n"),
        [
            (
                "users.yaml:4:10: not valid YAML: a text cannot begin with this character (a tab,"
                " @, % or `): indent with spaces, and put such a text in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a plain text that begins with a backtick",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: `home`\n"),
        [
            (
                "users.yaml:4:10: not valid YAML: a text cannot begin with this character (a tab,"
                " @, % or `): indent with spaces, and put such a text in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a plain text that begins with a percent sign",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: %home\n"),
        [
            (
                "users.yaml:4:10: not valid YAML: a text cannot begin with this character (a tab,"
                " @, % or `): indent with spaces, and put such a text in quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a plain text that begins with a dash and a blank",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: - home\n"),
        [
            (
                "users.yaml:4:10: not valid YAML: a '- ' where none can be: put a text that "
                "begins with one in quotes, and check the indentation"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a backslash in double quotes",
        "users.yaml",
        (b'create_users:\n- name: Jane\n  email: jane@example.com\n  title: "CORP\\jane"\n'),
        [
            (
                "users.yaml:4:15: not valid YAML: an unknown escape: write \\\\ for a backslash in "
                "double quotes, or use single quotes"
            )
        ],
        ["syntax"],
    ),
    Bad(
        "a directive of another version",
        "users.yaml",
        (b"%YAML 2.0\n---\ncreate_users:\n- name: Jane\n  email: jane@example.com\n"),
        ["users.yaml:1:1: not valid YAML: remove the line that begins with %"],
        ["syntax"],
    ),
    Bad(
        "a line separator",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: a\xe2\x80\xa8b\n"),
        [
            (
                "users.yaml:4:11: the file has the character U+2028, which YAML does not allow: "
                "remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a next-line character",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: a\xc2\x85b\n"),
        [
            (
                "users.yaml:4:11: the file has the character U+0085, which YAML does not allow: "
                "remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a byte order mark in the middle",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: a\xef\xbb\xbfb\n"),
        [
            (
                "users.yaml:4:11: the file has the character U+FEFF, which YAML does not allow: "
                "remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "a control character",
        "users.yaml",
        (b"create_users:\n- name: Jane\n  email: jane@example.com\n  title: a\x07b\n"),
        [
            (
                "users.yaml:4:11: the file has the character U+0007, which YAML does not allow: "
                "remove it"
            )
        ],
        ["character"],
    ),
    Bad(
        "an entry of more than a MiB",
        "users.yaml",
        b"create_users:\n- name: Jane\n  title: '" + b"x" * 2_000_000,
        [
            (
                "users.yaml:3:1114086: no entry ends in the 1 MiB before this place: it is too "
                "long, as one of a directory with a photo, or a quote is never closed"
            )
        ],
        ["too_long"],
    ),
    Bad(
        "CRLF ends of lines and an unknown key",
        "users.yaml",
        (b"create_users:\r\n- name: Jane\r\n  email: jane@example.com\r\n  titel: x\r\n"),
        ["users.yaml:4:3: create_users[0]: unknown key 'titel': did you mean 'title'?"],
        ["unknown_key"],
    ),
]
