"""The Dockerfile and what follows it without Docker: understood to the last word, linted, and nothing gated gets in."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest

from jobs.system_libraries import DEBIAN_PACKAGES
from pipeline.catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def check_image() -> ModuleType:
    """deploy/check_image.py, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("check_image", ROOT / "deploy/check_image.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_hadolint_finds_nothing() -> None:
    """But for versions of Debian's packages, which are the base's release, and of pip's, which PIP_CONSTRAINT pins."""
    command = [Path(sys.executable).with_name("hadolint"), "--no-color", "--ignore=DL3008", "--ignore=DL3013"]
    done = subprocess.run([*command, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("target", "stages"),
    [("cpu", ["base", "wheel", "cpu"]), ("cuda", ["base", "wheel", "nvdiffrast", "cuda"])],
)
def test_each_target_is_made_of_known_stages_whose_every_instruction_is_understood(
    check_image: ModuleType, target: str, stages: list[str]
) -> None:
    made_of = check_image.needed(check_image.parse(DOCKERFILE), target)
    assert [stage.name for stage in made_of] == stages
    settings = {}
    for stage in made_of:
        settings[stage.name] = own = deepcopy(settings.get(stage.base, check_image.Settings()))
        for instruction in stage.instructions:
            if instruction.name not in ("RUN", "COPY"):
                check_image.apply(instruction, own, {}, {})
    end = settings[target]
    assert (end.user, end.folder, end.entrypoint, end.command) == ("1000", "/data", ["gdpw-pipe"], ["--help"])
    assert end.env["HOME"] == "/home/gdpw"


@pytest.mark.parametrize(
    "line",
    ["ADD x /x", "RUN --mount=type=cache,target=/root pip", "COPY --chown=1 a /a", "CMD ls", "ENV A=$B", "RUN <<EOF"],
)
def test_what_it_could_not_do_is_an_error_that_names_the_line(check_image: ModuleType, line: str) -> None:
    def take(text: str) -> None:
        (stage,) = check_image.parse(text)
        check_image.apply(stage.instructions[0], check_image.Settings(), {}, {})

    with pytest.raises(check_image.ImageError, match=r"Dockerfile:3: .* is not understood"):
        take(f"FROM debian AS one\n# a comment\n{line}\n")


def test_lines_are_joined_and_arguments_of_the_build_come_before_defaults(check_image: ModuleType) -> None:
    text = 'FROM debian AS one\nRUN first \\\n    # aside\n    && second\nARG A="1;2"\nARG B=3\n'
    (stage,) = check_image.parse(text)
    run, *others = stage.instructions
    assert run.value.split() == ["first", "&&", "second"]
    arguments: dict[str, str] = {}
    for instruction in others:
        check_image.apply(instruction, check_image.Settings(), arguments, {"B": "4"})
    assert arguments == {"A": "1;2", "B": "4"}


def test_the_build_gets_all_files_of_the_wheel_and_nothing_gated(check_image: ModuleType, tmp_path: Path) -> None:
    gated = [asset.file for asset in CATALOGUE.values() if not asset.packaged]
    ours = {"pyproject.toml", "constraints.txt", "README.md", "jobs/cli.py", "pipeline/data/face_landmarker.task"}
    ours |= {"fit_deca/data/generic_head.npz", "jobs/edit_page/page.js"}
    theirs = {f"{folder}{name}" for name in gated for folder in ("", "FLAME/", "fit_deca/data/", "pipeline/")}
    theirs |= {"demo/animation.mp4", "tests/test_cli.py", "jobs/__pycache__/cli.pyc", ".env"}
    for name in ours | theirs:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignore = (ROOT / ".dockerignore").read_text()
    assert {path.as_posix() for path in check_image.context_files(tmp_path, ignore)} == ours


def test_everything_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+) AS", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.fullmatch(r"\S+:[0-9]+\.[0-9]+\.[0-9]+-\S+", base) for base in bases if base not in stages)
    assert re.search(r"^ARG NVDIFFRAST=[0-9a-f]{40}$", DOCKERFILE, re.MULTILINE)
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {"torch", "setuptools", "wheel", "ninja", "cuda-toolkit"} <= pinned


def test_the_image_has_the_libraries_that_wheels_expect_and_what_launchers_call() -> None:
    (installed,) = re.findall(r"no-install-recommends (.* rsync .*)\\", DOCKERFILE)
    assert {*DEBIAN_PACKAGES.values(), "wget", "rsync"} == set(installed.split())
