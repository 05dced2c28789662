"""The cut-down model of EC2, and where it is kept."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

from spot_connect.aws import service_models
from spot_connect.aws.service_models import EC2_OPERATIONS, quick_session, trimmed
from spot_connect.store.cache import CacheFiles
from spot_connect.store.state import State

AWS = Path(__file__).parents[2] / "spot_connect" / "aws"


def called() -> set[str]:
    found: set[str] = set()
    for path in AWS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        found.update(re.findall(r'ec2\.get_paginator\("(\w+)"', text))
        for node in ast.walk(ast.parse(text)):
            inner = node.value if isinstance(node, ast.Attribute) else None
            if isinstance(inner, ast.Attribute) and inner.attr in ("ec2", "ec2_once"):
                found.add(node.attr)
    return found - {"get_paginator"}


def model_of(session: object) -> dict:
    return session.get_component("data_loader").load_service_model("ec2", "service-2")


@pytest.fixture
def files(tmp_path: Path) -> CacheFiles:
    return CacheFiles(State(tmp_path))


def test_a_client_knows_exactly_the_operations_that_the_package_calls() -> None:
    assert {xform_name(name) for name in EC2_OPERATIONS} == called()


def test_what_is_kept_of_an_operation_is_what_botocore_has_but_the_documentation() -> None:
    whole = Loader().load_service_model("ec2", "service-2")
    cut = trimmed(whole, frozenset({"RunInstances"}))
    assert set(cut["operations"]) == {"RunInstances"}
    assert cut["metadata"] == whole["metadata"]
    assert len(cut["shapes"]) < len(whole["shapes"]) / 4
    for name, shape in cut["shapes"].items():
        assert set(shape) == set(whole["shapes"][name]) - {"documentation"}
        assert set(shape.get("members", {})) == set(whole["shapes"][name].get("members", {}))


def test_a_member_called_documentation_stays() -> None:
    model = {
        "metadata": {},
        "operations": {"A": {"input": {"shape": "X"}}},
        "shapes": {"X": {"members": {"documentation": {"shape": "Y"}}}, "Y": {"type": "string"}},
    }
    assert trimmed(model, frozenset({"A"}))["shapes"] == model["shapes"]


def test_the_second_process_reads_what_the_first_has_kept(files: CacheFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    first = model_of(quick_session(files))

    def never(*_: object) -> dict:
        raise AssertionError("the whole model was read again")

    monkeypatch.setattr(service_models, "trimmed", never)
    assert model_of(quick_session(files)) == first


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe"])
def test_a_broken_file_is_made_again(files: CacheFiles, tmp_path: Path, data: bytes) -> None:
    first = model_of(quick_session(files))
    (path,) = tmp_path.glob("cache/ec2-*.json")
    path.write_bytes(data)
    assert model_of(quick_session(files)) == first
    assert json.loads(path.read_bytes()) == first


def test_no_cache_and_a_place_that_cannot_be_written_are_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert model_of(quick_session(CacheFiles(State(blocked)))) == model_of(quick_session(None))


def test_a_model_of_the_user_is_left_whole(files: CacheFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "models" / "ec2" / "2016-11-15"
    place.mkdir(parents=True)
    own = {"metadata": {"apiVersion": "2016-11-15"}, "operations": {"Mine": {}}, "shapes": {}}
    (place / "service-2.json").write_text(json.dumps(own))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
    assert set(model_of(quick_session(files))["operations"]) == {"Mine"}
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize("name", ["sso", "sso-oidc", "signin", "sts", "dynamodb"])
def test_a_service_that_is_not_ours_is_looked_for_as_botocore_does(name: str) -> None:
    found = quick_session(None).get_component("data_loader").load_service_model(name, "service-2")
    assert found["metadata"] == Loader().load_service_model(name, "service-2")["metadata"]


def test_a_service_of_the_users_own_models_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "my own" / "brandnew" / "2026-01-01"
    place.mkdir(parents=True)
    (place / "service-2.json").write_text(json.dumps({"metadata": {"serviceId": "new"}}))
    monkeypatch.setenv("MODELS", str(tmp_path))
    monkeypatch.setenv("AWS_DATA_PATH", "$MODELS/my own")
    loader = quick_session(None).get_component("data_loader")
    assert loader.load_service_model("brandnew", "service-2")["metadata"] == {"serviceId": "new"}


def test_what_nobody_knows_is_unknown() -> None:
    with pytest.raises(UnknownServiceError):
        quick_session(None).get_component("data_loader").load_service_model("no-such-service", "service-2")


def test_what_was_kept_for_another_version_goes(files: CacheFiles, tmp_path: Path) -> None:
    files.put("ec2-1-a.json", b"old")
    files.put("other-1.json", b"other")
    files.put("ec2-2-b.json", b"new")
    assert files.get("ec2-1-a.json") is None
    assert files.get("ec2-2-b.json") == b"new"
    assert files.get("other-1.json") == b"other"
