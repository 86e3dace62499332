"""`ANYSCALE_PORT` and `ANYSCALE_WORKERS`: where a server listens, and by how many processes."""

import pytest

from anyscale.errors import ConfigError
from anyscale.server.settings import ListenSettings

VARIABLES = {"ANYSCALE_PORT": "9000", "ANYSCALE_WORKERS": "3"}


def read(
    environment: dict[str, str], port: int | None = None, workers: int | None = None
) -> ListenSettings:
    return ListenSettings.from_environment(environment, port=port, workers=workers)


def test_the_variables_are_read_and_have_defaults() -> None:
    assert read(VARIABLES) == ListenSettings(9000, 3)
    assert read({}) == ListenSettings(8000, 1)
    assert read({"ANYSCALE_PORT": "", "ANYSCALE_WORKERS": " "}) == ListenSettings(8000, 1)


def test_an_option_wins_over_its_variable() -> None:
    assert read(VARIABLES, port=0) == ListenSettings(0, 3)
    assert read(VARIABLES, workers=1) == ListenSettings(9000, 1)
    assert read({"ANYSCALE_PORT": "tcp://10.0.0.1:8000"}, port=9000) == ListenSettings(9000, 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANYSCALE_PORT", "65536", "ANYSCALE_PORT must be a whole number from 0 to 65535"),
        ("ANYSCALE_PORT", "http", "ANYSCALE_PORT must be a whole number"),
        ("ANYSCALE_WORKERS", "0", "ANYSCALE_WORKERS must be a whole number from 1 to 256"),
    ],
)
def test_a_wrong_value_is_refused_with_the_valid_ones(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read({name: value})


def test_the_address_that_kubernetes_sets_is_refused_with_its_cause_and_advice() -> None:
    with pytest.raises(ConfigError) as refused:
        read({"ANYSCALE_PORT": "tcp://10.0.0.1:8000"})

    assert "ANYSCALE_PORT" in str(refused.value)
    assert "Kubernetes" in str(refused.value)
    assert "enableServiceLinks: false" in str(refused.value)


def test_a_wrong_port_and_a_wrong_number_of_workers_are_reported_together() -> None:
    environment = {"ANYSCALE_PORT": "eighty", "ANYSCALE_WORKERS": "0"}

    with pytest.raises(ConfigError) as refused:
        ListenSettings.from_environment(environment, port=None, workers=None)

    assert [message.split()[0] for message in refused.value.args] == [*environment]
