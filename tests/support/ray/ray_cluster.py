"""A Ray cluster on this machine, started by the commands of the documents.

Ray listens on every address of a machine. The cluster is therefore in a network namespace of its
own, where loopback is all there is, if this process may create one; commands and requests enter it.
"""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml
from tests.support.paths import ANYSCALE, ROOT
from tests.support.ports import free_port
from tests.support.ray.documented_variables import documented_variables
from tests.support.ray.network_namespace import network_namespace
from tests.support.ray.ray_node import RayNode
from tests.support.waiting import wait_until

#: of the programs of the environment that has Ray, which `./dev test ray` installs
RAY = ROOT / ".venv" / "ray" / "bin"

_CONFIG = ROOT / "deploy" / "ray" / "serve.yaml"

#: octets; the smallest size that Ray accepts is 75 MiB
_OBJECT_STORE = 80 << 20

#: seconds between two looks at a cluster that starts: each starts programs, and Ray has to answer
_POLL = 0.25

#: seconds; by default, Ray adds replicas after 30 seconds and stops them after 10 minutes
_SOON = {
    "metrics_interval_s": 0.5,
    "look_back_period_s": 2,
    "upscale_delay_s": 0,
    # A moment with fewer requests stops no replica that starts.
    "downscale_delay_s": 2,
}


class Response(NamedTuple):
    """A response to a request in the namespace of a cluster."""

    status: int
    body: str


class RayCluster:
    """A head, and nodes with a replica each, on a PostgreSQL database at a socket.

    Args:
        database: its URL.
        workers: nodes beside the head, which has no replica; with 0 it has the only one.
    """

    def __init__(self, database: str, *, workers: int = 2) -> None:
        # A short path: the names of Ray's sockets are long, and a name has at most 107 octets.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.sessions = self.folder / "ray"
        self.token_file = self.folder / "raytoken"
        self.nodes: list[RayNode] = []
        self.port, self.fallback_port, self.dashboard_port = (free_port() for _ in range(3))
        self._gcs_port = free_port()
        self._workers = workers
        self._enter: Sequence[str] = ()
        self._environment = self._variables(database)

    def _variables(self, database: str) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            # Without bytecode, each of its processes would compile its modules again.
            if not name.startswith("RAY_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return inherited | {
            **documented_variables(self.folder),
            "ANYSCALE_DATABASE_URL": database,
            "HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",  # for the log that tells when it has started
            "PATH": f"{RAY}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_ADDRESS": f"127.0.0.2:{self._gcs_port}",
            # HAProxy knows after a second that a replica stops.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
            # On a busy machine, processes take long to start.
            "RAY_agent_register_timeout_ms": "60000",
            "RAY_raylet_start_wait_time_s": "60",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.fallback_port),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        }

    @contextmanager
    def running(self) -> Iterator["RayCluster"]:
        """Start it, and kill all of its processes when the block ends."""
        with network_namespace() as self._enter:
            try:
                self._create_files()
                self._start()
                yield self
            finally:
                for node in self.nodes:
                    node.kill()
                shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        self._start_head()
        for _ in range(self._workers):
            self.add_node()
        self.deploy()
        self.wait_for_replicas(self._workers or 1)

    def _create_files(self) -> None:
        self.sessions.mkdir()
        self.token_file.touch(0o600)
        self.token_file.write_text(secrets.token_urlsafe(32), encoding="ascii")

    def _start_head(self) -> None:
        self._start_node(
            "127.0.0.2",
            "--head",
            f"--port={self._gcs_port}",
            f"--num-cpus={0 if self._workers else 1}",
            f"--temp-dir={self.sessions}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard_port}",
            f"--ray-client-server-port={free_port()}",
            # One machine needs no program that starts others, and none that collects their logs.
            *([] if self._workers else ["--no-monitor", "--include-log-monitor=false"]),
        )

    def add_node(self) -> None:
        """Start another node, and wait until it has joined."""
        number = len(self.nodes)
        self._start_node(
            # Not 127.0.0.1, which Ray replaces by the address of a network card.
            f"127.0.0.{number + 2}",
            f"--address=127.0.0.2:{self._gcs_port}",
            "--num-cpus=1",
            cores=sorted(os.sched_getaffinity(0))[number % self._workers :: self._workers],
        )

    def _start_node(self, address: str, *options: str, cores: Sequence[int] = ()) -> None:
        """Start a node alone, because two at a time may take too long for Ray.

        Args:
            address: of the node.
            options: of the command.
            cores: of the node, as if it were a machine of its own; by default, all.
        """
        command = [
            *self._enter,
            *(["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []),
            str(RAY / "ray"),
            "start",
            "--block",
            f"--node-ip-address={address}",
            f"--object-store-memory={_OBJECT_STORE}",
            # The nodes are on one machine, where each needs ports of its own.
            *(f"--{name}={free_port()}" for name in _NODE_PORTS),
            "--min-worker-port=0",
            "--max-worker-port=0",
            *options,
        ]
        self.nodes.append(RayNode(command, address, self._environment, self.folder))
        wait_until(self.nodes[-1].is_started, 180, interval=_POLL)

    def deploy(self, changes: Mapping[str, str] | None = None) -> None:
        """Deploy the file of `deploy/ray/` by the documented command.

        Args:
            changes: environment variables of the application.
        """
        config = yaml.safe_load(_CONFIG.read_text(encoding="utf-8"))
        config["http_options"]["port"] = self.port
        (application,) = config["applications"]
        (deployment,) = application["deployments"]
        deployment["autoscaling_config"] |= _SOON | {"min_replicas": self._workers or 1}
        if changes:
            application["runtime_env"] = {"env_vars": dict(changes)}
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        address = f"--address=http://127.0.0.1:{self.dashboard_port}"
        self.run([str(RAY / "serve"), "deploy", address, str(file)]).check_returncode()

    def wait_for_replicas(self, count: int) -> None:
        """Wait until the application runs with so many replicas, all of them behind HAProxy."""

        def are_ready() -> bool:
            assert self.nodes[0].is_started()
            return len(self.replicas()) == count == len(self.targets())

        wait_until(are_ready, 300, interval=_POLL)

    def replicas(self) -> list[str]:
        """List the replicas that run."""
        body = self.dashboard("/api/serve/applications/").body
        applications = json.loads(body)["applications"] if body.startswith("{") else {}
        return [
            replica["replica_id"]
            for application in applications.values()
            for deployment in application["deployments"].values()
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        ]

    def targets(self) -> list[str]:
        """List the addresses of the replicas to which HAProxy passes requests."""
        lines = [
            line.split()
            for file in (self.folder / "haproxy").glob("*/haproxy.cfg")
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        return [
            words[2]
            for words in lines
            if words[:1] == ["server"] and words[1].startswith("SERVE_REPLICA")
        ]

    @property
    def url(self) -> str:
        """Of the control plane, in the namespace."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str | Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start `anyscale` in the namespace.

        Args:
            arguments: of the command.
            env: more environment variables.
        """
        return subprocess.Popen(
            [*self._enter, ANYSCALE, *map(str, arguments)],
            env=os.environ | {"ANYSCALE_HOST": self.url} | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace, with the environment of the nodes."""
        return subprocess.run(
            [*self._enter, *map(str, command)],
            env=self._environment | dict(env or {}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def dashboard(self, path: str, *, token: bool = True) -> Response:
        """Request a path of the dashboard, with Ray's token unless it is left out."""
        header = f"Authorization: Bearer {self.token_file.read_text(encoding='ascii')}"
        options = ["-H", header] if token else []
        return self.curl(f"http://127.0.0.1:{self.dashboard_port}{path}", *options)

    def curl(self, url: str, *options: str | Path) -> Response:
        """Send a request by curl; the status is 0 if there is no response."""
        done = self.run(["curl", "-s", "-m", "90", "-w", "\n%{http_code}", *options, url])
        body, _, status = done.stdout.rpartition("\n")
        return Response(int(status), body)


#: the ports of a node, by their options
_NODE_PORTS = (
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
    "dashboard-agent-grpc-port",
    "dashboard-agent-listen-port",
    "metrics-export-port",
)
