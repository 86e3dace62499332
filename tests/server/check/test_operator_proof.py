"""The operator's command and a server of one database recognize each other; nobody else can."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process

from anyscale.domain.schemas.received_request import (
    PROOF,
    RECEIVED_BODY_OCTETS,
    RECEIVED_BODY_PATH,
    RECEIVED_REQUEST_PATH,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.operator_proof import (
    OperatorProofs,
    get_operator_key,
    new_proof,
    proof_of_server,
)
from anyscale.server.settings import Settings


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane whose server has created the key."""
    with closing(store_deployment.control_plane()) as control_plane:
        OperatorProofs(control_plane.transactions)
        yield control_plane


def key_and_time(control_plane: ControlPlane) -> tuple[bytes, int]:
    with control_plane.store.read() as tx:
        key = get_operator_key(tx)
        assert key
        return key, tx.now()


def test_a_server_responds_once_to_a_proof_of_its_database(control_plane: ControlPlane) -> None:
    proofs = OperatorProofs(control_plane.transactions)
    key, now = key_and_time(control_plane)
    proof = new_proof(key, now)

    assert proofs.respond(proof) == proof_of_server(key, proof)
    assert proofs.respond(proof) is None
    assert proofs.respond(new_proof(key, now)) is not None


def test_a_proof_is_valid_for_a_minute(control_plane: ControlPlane) -> None:
    proofs = OperatorProofs(control_plane.transactions)
    key, now = key_and_time(control_plane)

    assert proofs.respond(new_proof(key, now - 59_000))
    assert proofs.respond(new_proof(key, now - 61_000)) is None
    assert proofs.respond(new_proof(key, now + 60_000)) is None


def test_a_proof_cannot_be_changed_or_created_without_the_key(control_plane: ControlPlane) -> None:
    proofs = OperatorProofs(control_plane.transactions)
    key, now = key_and_time(control_plane)
    proof = new_proof(key, now)
    created, nonce, signature = proof.split(".")

    for forged in (
        "",
        "x",
        "..",
        f"{now}..",
        f"{int(created) + 1}.{nonce}.{signature}",
        f"{created}.{nonce}x.{signature}",
        f"{created}.{nonce}.{proof_of_server(key, proof)}",
        f"{created}.{nonce}.{'é' * 64}",
        new_proof(b"another key", now),
        proof + "0" * 200,
        "9" * 5_000,
    ):
        assert proofs.respond(forged) is None, forged
    assert proofs.respond(proof)


@pytest.mark.both_stores
def test_the_key_is_random_and_created_by_the_first_server(
    store_deployment: Deployment, tmp_path: Path
) -> None:
    with closing(store_deployment.control_plane()) as first:
        with first.store.read() as tx:
            assert get_operator_key(tx) is None
        OperatorProofs(first.transactions)
        key, now = key_and_time(first)
        first.tokens.create(OPERATOR, "ann", "owner", None)
        assert key_and_time(first)[0] == key
        with closing(store_deployment.control_plane()) as second:
            assert OperatorProofs(second.transactions).respond(new_proof(key, now)) is not None
    with closing(cheap_control_plane(Settings(database=tmp_path / "other.db"))) as other:
        OperatorProofs(other.transactions)
        assert key_and_time(other)[0] != key
        assert OperatorProofs(other.transactions).respond(new_proof(key, now)) is None


def test_for_other_callers_the_path_does_not_exist(control_plane: ControlPlane) -> None:
    key, now = key_and_time(control_plane)
    with serve_in_process(control_plane) as url:
        client = HttpClient(url)
        unknown = client.request("GET", "/received-nothing")
        for headers in ({}, {PROOF: "x"}, {PROOF: new_proof(b"another key", now)}):
            response = client.request("GET", RECEIVED_REQUEST_PATH, headers=headers)
            assert response.status == 404
            assert without_id(response.json) == without_id(unknown.json)
        proof = new_proof(key, now)
        response = client.request("GET", RECEIVED_REQUEST_PATH, headers={PROOF: proof})
        assert response.json["proof"] == proof_of_server(key, proof)
        again = client.request("GET", RECEIVED_REQUEST_PATH, headers={PROOF: proof})
        assert again.status == 404
        assert RECEIVED_REQUEST_PATH not in json.dumps(client.request("GET", "/openapi.json").json)


def test_only_the_body_of_the_operators_command_is_read(control_plane: ControlPlane) -> None:
    key, now = key_and_time(control_plane)
    with serve_in_process(control_plane) as url:
        client = HttpClient(url)
        for octets, proof, status in (
            (RECEIVED_BODY_OCTETS + 1, "x", 404),
            (RECEIVED_BODY_OCTETS, new_proof(key, now), 200),
            (RECEIVED_BODY_OCTETS + 1, new_proof(key, now), 413),
        ):
            response = client.request(
                "POST", RECEIVED_BODY_PATH, raw=bytes(octets), headers={PROOF: proof}
            )
            assert response.status == status
            assert response.json.get("octets") == (octets if status == 200 else None)
        assert "/v1/batches/check" not in client.request("GET", "/openapi.json").text


def without_id(document: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in document.items() if name != "request_id"}
