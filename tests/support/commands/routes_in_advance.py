"""The fork server imports this, so that the servers which it starts have their routes."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.reused_routes import give_back_routes, take_routes

from anyscale.server.http.app import application
from anyscale.server.settings import Settings

with TemporaryDirectory() as folder:
    control_plane = cheap_control_plane(Settings(database=Path(folder, "anyscale.db")))
    application(control_plane, take_routes)
    control_plane.close()
    give_back_routes(control_plane)

application.__defaults__ = (take_routes,)
