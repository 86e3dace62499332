"""The fork server imports this, so that the patterns which read a users file are compiled.

A command that reads a file of a few users would otherwise compile them for a quarter of its time.
"""

import io
import pkgutil

from anyscale.domain.validation import Policy
from anyscale.users_file import UsersFile

for file_format, text in (
    ("yaml", b"create_users:\n- {name: Jane, email: jane@example.com}\n"),
    ("json", b'{"create_users": [{"name": "Jane", "email": "jane@example.com"}]}\n'),
    ("jsonl", b'{"name": "Jane", "email": "jane@example.com"}\n'),
    ("csv", b"name,email\nJane,jane@example.com\n"),
):
    users = list(UsersFile(io.BytesIO(text), "users", file_format).reading(Policy()))
    assert len(users) == 1

# Its first call compiles a pattern: `command_process` resolves the names of constants.
pkgutil.resolve_name(__name__)
