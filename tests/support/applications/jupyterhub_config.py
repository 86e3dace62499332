"""JupyterHub with the text of the console, and with ports and a folder of a test."""

import os
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from oauthenticator.generic import GenericOAuthenticator

folder, url = os.environ["HUB_FOLDER"], os.environ["HUB_URL"]
hub_port, api_port = os.environ["HUB_PORTS"].split(",")

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub defines it
c.JupyterHub.bind_url = url
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = f"sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie_secret"
c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = [os.environ["HUB_PROXY"]]
c.ConfigurableHTTPProxy.pid_file = f"{folder}/proxy.pid"

exec(os.environ["HUB_TEXT"])


def write_level(_: GenericOAuthenticator, __: object, model: dict[str, Any]) -> dict[str, Any]:
    """Let a test read with which level a user has arrived."""
    user = model["auth_state"]["oauth_user"]
    Path(folder, model["name"]).write_text(f"{user['acr']}: {','.join(user.get('amr', []))}")
    return model


c.GenericOAuthenticator.post_auth_hook = write_level
