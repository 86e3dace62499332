"""/console/templates: examples of users files, in each format."""

from litestar import Response
from litestar.params import FromPath

from anyscale.errors import NotFound
from anyscale.server.http.route_handlers import get

_YAML = """\
# A list of users. Each has a name (the first name) and an email.
# password: leave it out, and the user sets one by a link that you create after the batch.
# is_sso_user: true if the user signs in by single sign-on.
create_users:
- name: Jane
  lastname: Doe
  email: jane.doe@example.com
  title: Engineer
- name: Ann
  email: ann@example.com
  is_sso_user: true
- name: Joe
  email: joe@example.com
  password: 'write a long one here'
"""

_JSON = """\
{"create_users": [
  {"name": "Jane", "lastname": "Doe", "email": "jane.doe@example.com", "title": "Engineer"},
  {"name": "Ann", "email": "ann@example.com", "is_sso_user": true},
  {"name": "Joe", "email": "joe@example.com", "password": "write a long one here"}
]}
"""

_JSON_LINES = """\
{"name": "Jane", "lastname": "Doe", "email": "jane.doe@example.com", "title": "Engineer"}
{"name": "Ann", "email": "ann@example.com", "is_sso_user": true}
{"name": "Joe", "email": "joe@example.com", "password": "write a long one here"}
"""

_CSV = """\
name,lastname,email,title,is_sso_user,password
Jane,Doe,jane.doe@example.com,Engineer,false,
Ann,,ann@example.com,,true,
Joe,,joe@example.com,,false,write a long one here
"""

#: ending -> media type and content
_FILES = {
    "csv": ("text/csv", _CSV),
    "jsonl": ("application/jsonl", _JSON_LINES),
    "json": ("application/json", _JSON),
    "yaml": ("application/yaml", _YAML),
}


@get("/templates/{name:str}")
async def get_template(name: FromPath[str]) -> Response[str]:
    stem, _, ending = name.partition(".")
    if stem != "users" or ending not in _FILES:
        raise NotFound("there is no such template")
    kind, content = _FILES[ending]
    headers = {"Content-Disposition": f'attachment; filename="users.{ending}"'}
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


HANDLERS = [get_template]
