"""The Helm chart runs the server as it needs to be run, and refuses wrong values."""

import json
import re
import subprocess
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ANYSCALE, ROOT
from tests.support.ports import free_port, responds_at
from tests.support.programs import installed
from tests.support.servers.server_process import run_server_process

import anyscale as package
from anyscale.server.core.key_folders import KeyKind
from anyscale.server.core.openid import key_files
from anyscale.server.core.openid.key_files import SIGNING_KEYS
from anyscale.server.core.second_factor import keys
from anyscale.server.core.second_factor.keys import SEED_KEYS
from anyscale.server.main import _GRACE_SECONDS
from anyscale.server.settings import Settings

HELM = ROOT / ".venv" / "chart" / "bin" / "helm"
CHART = ROOT / "deploy" / "chart"
REQUIRED = CHART / "ci" / "default.yaml"
VALUES = sorted((CHART / "ci").glob("*.yaml"))

#: settings that have a value of their own in the chart, or belong to a machine
NOT_IN_SETTINGS = {
    "ANYSCALE_DATABASE_URL",
    "ANYSCALE_DATA_DIR",
    "ANYSCALE_SSO_CLIENT_ID",
    "ANYSCALE_SSO_CLIENT_SECRET_FILE",
    "ANYSCALE_SSO_DOMAINS",
    "ANYSCALE_SSO_ISSUER",
    "ANYSCALE_SSO_SECOND_FACTOR",
    "ANYSCALE_LOGO",
    "ANYSCALE_MAIL_FROM",
    "ANYSCALE_MAIL_PER_MINUTE",
    "ANYSCALE_PORT",
    "ANYSCALE_PUBLIC_URL",
    "ANYSCALE_SECOND_FACTOR",
    "ANYSCALE_SECOND_FACTOR_DAYS",
    "ANYSCALE_SECOND_FACTOR_KEYS",
    "ANYSCALE_SIGNING_KEYS",
    "ANYSCALE_SMTP_HOST",
    "ANYSCALE_SMTP_PASSWORD_FILE",
    "ANYSCALE_SMTP_PORT",
    "ANYSCALE_SMTP_TLS",
    "ANYSCALE_SMTP_USER",
    "ANYSCALE_WORKERS",
}


def template(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Render the chart."""
    command = [installed(HELM), "template", "accounts", CHART, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@cache
def rendered(values: Path) -> dict[str, Any]:
    """Give the objects of a set of values, by kind; no test changes them."""
    done = template("--values", values)
    assert done.returncode == 0, done.stderr
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout) if found}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Give the pod of a Deployment or of a Job."""
    found: dict[str, Any] = workload["spec"]["template"]
    return found


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """Give the only container of a Deployment or of a Job."""
    (found,) = pod(workload)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_pods_meet_the_restricted_pod_security_standard(values: Path) -> None:
    objects = rendered(values)

    for workload in (objects["Deployment"], objects["Job"]):
        spec = pod(workload)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {*spec} & {"hostNetwork", "hostPID", "hostIPC"} == set()
        kinds = {kind for volume in spec["volumes"] for kind in volume}
        assert kinds - {"configMap"} == {"name", "emptyDir", "secret"}
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_services_and_budgets_select_the_server_and_not_the_migration(values: Path) -> None:
    objects = rendered(values)
    server = pod(objects["Deployment"])["metadata"]["labels"].items()
    migration = pod(objects["Job"])["metadata"]["labels"].items()

    for selector in (
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= server
        assert not selector.items() <= migration


def test_only_the_named_pods_reach_the_port_of_the_server() -> None:
    objects = rendered(CHART / "ci" / "many-replicas.yaml")

    policy = objects["NetworkPolicy"]["spec"]
    labels = pod(objects["Deployment"])["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert [sorted(peer) for peer in rule["from"]] == [
        ["namespaceSelector", "podSelector"],
        ["ipBlock"],
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
    assert "NetworkPolicy" not in rendered(REQUIRED)


def test_a_digest_fixes_the_image() -> None:
    image = "registry.example.com:5000/accounts/musterroll:0.1.0"
    objects = rendered(CHART / "ci" / "many-replicas.yaml")

    for workload in (objects["Deployment"], objects["Job"]):
        assert container(workload)["image"] == f"{image}@sha256:{'0123456789abcdef' * 4}"


def test_the_service_sends_to_the_port_of_the_server() -> None:
    objects = rendered(REQUIRED)

    (port,) = objects["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8000, "http")
    assert container(objects["Deployment"])["ports"] == [{"name": "http", "containerPort": 8000}]


def test_pods_are_replaced_after_the_new_one_is_ready_and_drained_one_at_a_time() -> None:
    objects = rendered(REQUIRED)

    strategy = objects["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_only_readiness_depends_on_the_database() -> None:
    server = container(rendered(REQUIRED)["Deployment"])

    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    paths = [server[probe]["httpGet"]["path"] for probe in probes]
    assert paths == ["/healthz", "/healthz", "/readyz"]


def test_the_migration_runs_before_the_pods_and_not_again_after_a_wrong_setting(
    anyscale: RunAnyscale,
) -> None:
    job = rendered(REQUIRED)["Job"]

    done = anyscale(*container(job)["args"], env={"ANYSCALE_LINK_DAYS": "soon"})

    hooks = job["metadata"]["annotations"]["helm.sh/hook"]
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert hooks == "pre-install,pre-upgrade"
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"operator": "In", "values": [done.returncode]}
    assert "ANYSCALE_LINK_DAYS" in done.stderr
    # Kubernetes accepts a podFailurePolicy with this one only.
    assert pod(job)["spec"]["restartPolicy"] == "Never"


def test_the_chart_accepts_the_values_of_the_guide(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "operations" / "kubernetes.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"`values\.yaml`:\n\n   ```yaml\n(.*?)   ```\n", guide, re.DOTALL)
    values = tmp_path / "values.yaml"
    values.write_text(textwrap.dedent(example), encoding="utf-8")

    assert "Deployment" in rendered(values)


def test_either_the_autoscaler_or_the_deployment_sets_the_number_of_pods() -> None:
    scaled, fixed = rendered(REQUIRED), rendered(CHART / "ci" / "own-secrets.yaml")

    assert "HorizontalPodAutoscaler" in scaled
    assert "replicas" not in scaled["Deployment"]["spec"]
    assert "HorizontalPodAutoscaler" not in fixed
    assert fixed["Deployment"]["spec"]["replicas"] == 3


def test_the_autoscaler_scales_the_deployment_by_its_use_of_cpu() -> None:
    objects = rendered(CHART / "ci" / "many-replicas.yaml")

    target = {"type": "Utilization", "averageUtilization": 150}
    assert objects["HorizontalPodAutoscaler"]["spec"] == {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": objects["Deployment"]["metadata"]["name"],
        },
        "minReplicas": 6,
        "maxReplicas": 40,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    # A percentage of the request, without which the autoscaler does nothing.
    assert container(objects["Deployment"])["resources"]["requests"]["cpu"] == "500m"


def test_kubernetes_waits_longer_than_a_server_takes_to_stop() -> None:
    deployment = rendered(REQUIRED)["Deployment"]
    before = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod(deployment)["spec"]["terminationGracePeriodSeconds"] > before + _GRACE_SECONDS


def test_no_cpu_limit_throttles_requests_together_with_hashing() -> None:
    assert "cpu" not in container(rendered(REQUIRED)["Deployment"])["resources"]["limits"]


def test_the_containers_migrate_the_database_and_respond_to_the_probes(
    anyscale: RunAnyscale, blank_postgres_url: str, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(REQUIRED.read_text(encoding="utf-8") + "forwardedAllowIPs: [10.42.0.0/16]\n")
    objects = rendered(values)
    server, port = container(objects["Deployment"]), free_port()
    settings = {item["name"]: item.get("value", blank_postgres_url) for item in server["env"]}
    (listened,) = server["ports"]
    arguments = [word.replace(str(listened["containerPort"]), str(port)) for word in server["args"]]

    migrated = anyscale(*container(objects["Job"])["args"], env=settings)

    assert migrated.returncode == 0, migrated.stderr
    assert str(port) in arguments
    with run_server_process(" ".join([ANYSCALE, *arguments]), port, environment=settings):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert server[probe]["httpGet"]["port"] == listened["name"]
            assert responds_at(port, server[probe]["httpGet"]["path"])


@pytest.mark.parametrize(
    ("name", "kind", "create"),
    [
        ("signing-keys", SIGNING_KEYS, key_files.create_key),
        ("second-factor-keys", SEED_KEYS, keys.create_key),
    ],
)
def test_the_server_reads_the_keys_of_a_secret_as_kubernetes_mounts_it(
    name: str, kind: KeyKind[Any], create: Callable[[Path, datetime], Path], tmp_path: Path
) -> None:
    variable = f"ANYSCALE_{name.upper().replace('-', '_')}"
    deployment = rendered(CHART / "ci" / "own-secrets.yaml")["Deployment"]
    (volume,) = (one for one in pod(deployment)["spec"]["volumes"] if one["name"] == name)
    settings = {item["name"]: item.get("value") for item in container(deployment)["env"]}
    mounts = {one["name"]: one["mountPath"] for one in container(deployment)["volumeMounts"]}
    assert volume["secret"]["secretName"] == f"accounts-{name}"
    assert settings[variable] == mounts[name]
    assert variable not in {
        item["name"] for item in container(rendered(REQUIRED)["Deployment"])["env"]
    }

    # Each file is a link to one of a folder that is replaced as a whole.
    path = create(tmp_path / "..2026", datetime.now(UTC))
    path.chmod(volume["secret"]["defaultMode"])
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / path.name).symlink_to(f"..data/{path.name}")
    assert len(kind.read_all(tmp_path).keys) == 1


def test_the_server_reads_the_relay_and_its_password_from_a_secret(tmp_path: Path) -> None:
    deployment = rendered(CHART / "ci" / "mail.yaml")["Deployment"]
    (volume,) = (one for one in pod(deployment)["spec"]["volumes"] if one["name"] == "mail")
    mounts = {one["name"]: one["mountPath"] for one in container(deployment)["volumeMounts"]}
    environment = {item["name"]: item.get("value") for item in container(deployment)["env"]}
    assert volume["secret"]["secretName"] == "accounts-mail"
    assert environment["ANYSCALE_SMTP_PASSWORD_FILE"] == f"{mounts['mail']}/password"

    path = tmp_path / "password"
    path.write_text("a relay's own password")
    path.chmod(volume["secret"]["defaultMode"])
    mail = Settings.from_environment(
        {
            **{name: value for name, value in environment.items() if value},
            "ANYSCALE_SMTP_PASSWORD_FILE": str(path),
        },
        served=True,
    ).mail
    assert mail
    assert (mail.host, mail.port, mail.tls, mail.user) == (
        "mail.example.com",
        465,
        "tls",
        "musterroll",
    )
    assert (mail.sender, mail.per_minute) == ("accounts@example.com", 600)
    assert "ANYSCALE_SMTP_HOST" not in {
        item["name"] for item in container(rendered(REQUIRED)["Deployment"])["env"]
    }


def test_the_server_reads_the_logo_of_a_config_map() -> None:
    for kind in ("Deployment", "Job"):  # both read all settings
        workload = rendered(CHART / "ci" / "own-secrets.yaml")[kind]
        (volume,) = (one for one in pod(workload)["spec"]["volumes"] if one["name"] == "logo")
        mounts = {one["name"]: one["mountPath"] for one in container(workload)["volumeMounts"]}
        environment = {item["name"]: item.get("value") for item in container(workload)["env"]}
        assert volume["configMap"]["name"] == "accounts-logo"
        (item,) = volume["configMap"]["items"]
        assert environment["ANYSCALE_LOGO"] == f"{mounts['logo']}/{item['path']}"


def test_the_server_reads_who_needs_a_second_factor() -> None:
    found = [
        {
            item["name"]: item["value"]
            for item in container(rendered(values)["Deployment"])["env"]
            if "SECOND_FACTOR" in item["name"] and not item["name"].endswith("_KEYS")
        }
        for values in (REQUIRED, CHART / "ci" / "own-secrets.yaml")
    ]

    assert found == [
        {"ANYSCALE_SECOND_FACTOR": "optional", "ANYSCALE_SECOND_FACTOR_DAYS": "14"},
        {
            "ANYSCALE_SECOND_FACTOR": "off",
            "ANYSCALE_SECOND_FACTOR_DAYS": "0",
            "ANYSCALE_SSO_SECOND_FACTOR": "amr:mfa,hwk",
        },
    ]


def test_the_chart_has_each_setting_and_the_version_of_the_program() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    documented = set(re.findall(r"^\| `(ANYSCALE_\w+)`", page, re.MULTILINE))
    # A new setting goes into `properties.settings` of values.schema.json.
    assert {*schema["properties"]["settings"]["properties"]} == documented - NOT_IN_SETTINGS
    assert documented > NOT_IN_SETTINGS
    assert chart["version"] == chart["appVersion"] == package.__version__


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("replicaz=3", "additional properties 'replicaz' not allowed"),
        ("workers=0", "at '/workers': minimum: got 0, want 1"),
        ("workers=two", "at '/workers': got string, want integer"),
        ("publicUrl=http://a.example", "at '/publicUrl': 'http://a.example' does not match"),
        ("publicUrl=", "publicUrl is missing: set it to the address"),
        ("image.repository=", "image.repository is missing: build the image"),
        ("image.repository=a/musterroll:1", "at '/image/repository': 'a/musterroll:1' does not"),
        ("image.digest=sha256:12", "at '/image/digest': 'sha256:12' does not match"),
        ("networkPolicy.from={}", "at '/networkPolicy/from/0': got string, want object"),
        ("database.existingSecret=", "database.existingSecret is missing: create a Secret"),
        ("settings.ANYSCALE_LINK_DAY=3", "additional properties 'ANYSCALE_LINK_DAY' not allowed"),
        ("forwardedAllowIPs=10.0.0.1", "at '/forwardedAllowIPs': got string, want array"),
        ("autoscaling.minReplicas=9", "minReplicas must not be more than autoscaling.maxReplicas"),
        ("sso.clientId=musterroll", "sso.issuer is missing, and other values of sso are set"),
        ("sso.issuer=https://login.example", "sso.clientId is missing: set it to the client id"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: str, message: str) -> None:
    done = template("--values", REQUIRED, "--set", wrong)

    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "database.existingSecret=postgresql://musterroll:canary@db.example/musterroll",
            "database.existingSecret must be the name of a Secret, not the secret itself",
        ),
        (
            "settings.ANYSCALE_DATABASE_URL=postgresql://musterroll:canary@db.example/musterroll",
            "additional properties 'ANYSCALE_DATABASE_URL' not allowed",
        ),
        (
            "sso.issuer=https://login.example,sso.clientId=x,sso.existingSecret=A_canary",
            "sso.existingSecret must be the name of a Secret, not the secret itself",
        ),
        (
            "signingKeys.existingSecret=-----BEGIN canary",
            "signingKeys.existingSecret must be the name of a Secret, not the secret itself",
        ),
        (
            "mail.host=m.example,mail.from=a@m.example,mail.user=x,mail.existingSecret=A_canary",
            "mail.existingSecret must be the name of a Secret, not the secret itself",
        ),
        ("sso.clientSecret=canary", "additional properties 'clientSecret' not allowed"),
    ],
)
def test_a_secret_among_the_values_is_refused_and_not_shown(wrong: str, message: str) -> None:
    done = template("--values", REQUIRED, "--set", wrong)

    assert done.returncode != 0
    assert message in done.stderr
    assert "canary" not in done.stderr
