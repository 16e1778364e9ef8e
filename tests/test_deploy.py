"""What starts our jobs elsewhere: checked against the schemas of those who run it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from ray.autoscaler._private.docker import docker_start_cmds
from ray.autoscaler._private.util import prepare_config, validate_config

from jobs.cli import cli

ROOT = Path(__file__).parents[1]
KUBERAY = yaml.safe_load((ROOT / "deploy/kuberay.yaml").read_text())
CLUSTER = yaml.safe_load((ROOT / "cluster.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def closed(schema: Any) -> Any:
    """The schema, refusing keys that it does not name, as the API server drops them with a warning."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    return inner


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(gzip.decompress((ROOT / "tests/schemas/rayjob-v1.json.gz").read_bytes()))
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(closed(schema))


@pytest.mark.parametrize("job", KUBERAY["items"], ids=lambda job: job["metadata"]["name"])
def test_a_rayjob_passes_kuberays_schema(job: dict[str, Any], validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(job)] == []


def test_the_schema_sees_a_wrong_key_and_a_wrong_type(validator: Draft202012Validator) -> None:
    job = KUBERAY["items"][0]
    group = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert not validator.is_valid({**job, "spec": {**job["spec"], "entrypont": "x"}})
    workers = [{**group, "replicas": "one"}]
    assert not validator.is_valid(
        {
            **job,
            "spec": {**job["spec"], "rayClusterSpec": {**job["spec"]["rayClusterSpec"], "workerGroupSpecs": workers}},
        }
    )


@pytest.mark.parametrize("job", KUBERAY["items"], ids=lambda job: job["metadata"]["name"])
def test_a_rayjob_runs_a_command_that_exists_with_options_that_it_has(job: dict[str, Any]) -> None:
    program, name, *words = shlex.split(job["spec"]["entrypoint"])
    command = cli.commands[name]
    options = {
        option for parameter in command.params for option in parameter.opts if isinstance(parameter, click.Option)
    }
    assert program == "gdpw-pipe"
    assert {word for word in words if word.startswith("--")} <= options


def test_the_rayjobs_name_the_ray_that_the_image_holds() -> None:
    constraints = (ROOT / "constraints.txt").read_text().split()
    for job in KUBERAY["items"]:
        assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in constraints


def test_every_image_that_is_named_is_a_target_of_the_dockerfile() -> None:
    targets = {line.split()[-1] for line in DOCKERFILE.splitlines() if line.startswith("FROM ")}
    text = (ROOT / "deploy/kuberay.yaml").read_text() + (ROOT / "cluster.yaml").read_text()
    named = re.findall(r"gdpw-pipe:(\w+)$", text, re.MULTILINE)
    assert set(named) == {"cpu", "cuda"} <= targets


def test_rays_launcher_accepts_cluster_yaml() -> None:
    """With what it fills in itself, as `ray up` does."""
    config = prepare_config(deepcopy(CLUSTER))
    validate_config(config)
    assert config["setup_commands"] == config["worker_setup_commands"] == []  # its default installs another Ray
    head, *workers = config["available_node_types"].items()
    assert (head[0], head[1]["max_workers"]) == (config["head_node_type"], 0)
    assert [kind["node_config"]["InstanceMarketOptions"] for _, kind in workers] == [{"MarketType": "spot"}] * 2
    assert "InstanceMarketOptions" not in head[1]["node_config"]


@pytest.mark.parametrize(
    ("place", "value"), [("idle_minutes", 5), ("max_workers", "twenty"), ("docker", {"images": "x"})]
)
def test_rays_schema_sees_a_wrong_key_and_a_wrong_type(place: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        validate_config({**prepare_config(deepcopy(CLUSTER)), place: value})


@pytest.mark.parametrize("kind", CLUSTER["available_node_types"])
def test_aws_would_know_every_word_of_a_nodes_description(kind: str) -> None:
    """Under the description of its own interface that its client carries."""
    session = pytest.importorskip("botocore.session").get_session()
    validate = pytest.importorskip("botocore.validate").validate_parameters
    request = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    machine = CLUSTER["available_node_types"][kind]["node_config"]
    validate({**machine, "MinCount": 1, "MaxCount": 1}, request)
    with pytest.raises(Exception, match="Unknown parameter"):
        validate({**machine, "InstanceTyp": "x", "MinCount": 1, "MaxCount": 1}, request)


def test_the_launcher_starts_bash_in_the_image_not_its_entry_point() -> None:
    docker = CLUSTER["docker"]
    line = docker_start_cmds("ubuntu", docker["head_image"], {}, "name", docker["run_options"], "c", "/home", "docker")
    words = shlex.split(line)
    assert words[-2:] == [docker["head_image"], "bash"]
    assert "--entrypoint=" in words
    assert "rsync" in DOCKERFILE  # by which it copies files into the container


def test_the_cluster_is_controlled_from_its_own_machines_alone() -> None:
    (start,) = (command for command in CLUSTER["head_start_ray_commands"] if "--head" in command)
    assert "--dashboard-host=127.0.0.1" in start.split()


def test_all_that_a_user_must_set_is_named_and_cannot_work_unset() -> None:
    text = (ROOT / "cluster.yaml").read_text()
    comment = re.search(r"Set what belongs to you:.*?\n(?!#)", text, re.DOTALL)
    assert comment
    for word in ("region", "ImageId", "images", "file system"):
        assert word in comment[0]
    assert {"ami-00000000000000000", "fs-00000000000000000"} <= set(re.findall(r"(?:ami|fs)-\w+", text))
    assert re.findall(r"image: (?!registry\.example\.com/)", text) == []


SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""
RAY = """#!/bin/sh
echo "ray $*" >> "$LOG"
[ "$1" = start ] && exec sleep 60
exit 0
"""
COMMAND = """#!/bin/sh
until grep -q "ray start --address" "$LOG" && grep -q "ray start --head" "$LOG"; do sleep 0.1; done
echo "gdpw-pipe $*" >> "$LOG"
exit 3
"""


def test_the_slurm_script_starts_head_and_workers_then_the_command_and_leaves_nothing_running(tmp_path: Path) -> None:
    """With stand-ins for Slurm's programs and for ours."""
    log, programs = tmp_path / "log", tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name, text in {
        "srun": SRUN,
        "ray": RAY,
        "scontrol": "#!/bin/sh\nprintf 'one\\ntwo\\nthree\\n'\n",
        "hostname": "#!/bin/sh\necho 10.0.0.1 fe80::1\n",
        "gdpw-pipe": COMMAND,
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    slurm = {"SLURM_SUBMIT_DIR": tmp_path, "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_NUM_NODES": 3}
    slurm |= {"SLURM_CPUS_PER_TASK": 8, "SLURM_GPUS_ON_NODE": 2, "LOG": log}
    done = subprocess.run(
        [ROOT / "deploy/slurm.sh", "preprocess", "in", "out"],
        env=os.environ | {name: str(value) for name, value in slurm.items()},
        capture_output=True,
        text=True,
        timeout=30,  # the stand-in nodes would run for 60 seconds
    )
    assert done.returncode == 3, done.stderr
    *before, command = log.read_text().splitlines()
    (head,) = (line for line in before if line.startswith("ray start --head"))
    assert head.startswith("ray start --head --node-ip-address=10.0.0.1 --port=6379 --dashboard-host=127.0.0.1")
    assert "ray start --address=10.0.0.1:6379 --num-cpus=8 --num-gpus=2 --block" in before
    assert command == "gdpw-pipe preprocess in out --address 10.0.0.1:6379"
