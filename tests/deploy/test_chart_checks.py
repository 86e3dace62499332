"""The checks of the Helm chart in `./dev check` fail after a warning."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.paths import ROOT

CHART = ROOT / "deploy" / "chart"


@pytest.mark.parametrize(
    ("file", "old", "new", "warning"),
    [
        (
            "disruption-budget.yaml",
            "policy/v1\n",
            "policy/v1beta1\n",
            "PodDisruptionBudget is deprecated",
        ),
        ("service.yaml", "kind: Service\n", "kind: Servize\n", "find schema for kind Servize"),
    ],
)
def test_the_checks_of_the_chart_fail_after_a_warning(
    file: str, old: str, new: str, warning: str, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, ignore=lambda *_: ["many-replicas.yaml", "own-secrets.yaml"])
    path = chart / "templates" / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    # The help defines the functions of ./dev, and does nothing else.
    script = f"set -- help; . ./dev >/dev/null; check_chart {chart}"

    done = subprocess.run(
        ["sh", "-c", script, "./dev"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert warning in done.stderr
