"""The manifests, against the published schemas: Kubernetes' own, and KubeRay's."""

from __future__ import annotations

import os
import shlex
import sys
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from conftest import FARM

from farm import cli, errors

MANIFESTS = FARM / "kubernetes"
# $KUBERAY_CRD names a copy, where it cannot be fetched.
KUBERAY = "https://raw.githubusercontent.com/ray-project/kuberay/v1.5.0/ray-operator/config/crd/bases/ray.io_rayjobs.yaml"


def _load(name: str) -> Any:
    return yaml.safe_load((MANIFESTS / name).read_text())


def _strict(schema: Any) -> Any:
    """As the API server has it: what is not in the schema is refused."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items() if key != "format"}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


@pytest.fixture(scope="module")
def kuberay() -> Any:
    try:
        copy = os.environ.get("KUBERAY_CRD")
        text = Path(copy).read_bytes() if copy else urllib.request.urlopen(KUBERAY, timeout=60).read()
    except OSError as error:
        pytest.skip(f"KubeRay's schema cannot be fetched: {error}")
    versions = yaml.safe_load(text)["spec"]["versions"]
    return next(version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == "v1")


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_the_job_is_one(version: str) -> None:
    kubernetes_validate.validate(_load("indexed-job.yaml"), version, strict=True)


def test_the_rayjob_is_one(kuberay: Any) -> None:
    job = _load("rayjob.yaml")
    schema = _strict(kuberay)
    # Of what all objects have a schema says nothing.
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.Draft202012Validator(schema).validate(job)
    job["spec"]["rayClusterSpec"]["headGroupSpecs"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(job)
    # Its pods, by Kubernetes' own.
    cluster = _load("rayjob.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, "1.37", strict=True)


def test_all_exit_codes_have_a_rule() -> None:
    rules = _load("indexed-job.yaml")["spec"]["podFailurePolicy"]["rules"]
    told = [code for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())]
    ours = [errors.OTHER, errors.USAGE, errors.INPUT, errors.OUTPUT, errors.MODEL, errors.INTERRUPTED]
    assert sorted(told) == sorted([*ours, 137, 143])


def test_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _load("indexed-job.yaml")["spec"]["template"]["spec"]["containers"][0]["args"][0]
    ray = _load("rayjob.yaml")["spec"]["entrypoint"]
    for command in (job.replace("$JOB_COMPLETION_INDEX", "3"), ray):
        words = shlex.split(command)
        given = cli._parser().parse_args(words[words.index("/opt/davidmatte/examples/farm/matte_farm.py") + 1 :])
        assert given.out == "/films/out/" and given.model == "david-base"


def test_versions_agree() -> None:
    """Ray refuses workers of another version or another Python."""
    pinned = next(line for line in (FARM / "requirements.txt").read_text().split() if line.startswith("ray=="))
    version = pinned.removeprefix("ray==")
    assert _load("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == version
    dockerfile = Path(FARM / "Dockerfile").read_text()
    assert f'"ray[default]=={version}"' in dockerfile and "FROM python:3.11" in dockerfile
    assert sys.version_info >= (3, 11)
