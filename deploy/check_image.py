"""What can be said of the Dockerfile without Docker: every step of a target is taken in a clean Debian root.

    sudo python3 deploy/check_image.py /var/tmp/image --target cpu

The steps are read from the Dockerfile and `.dockerignore`, stage by stage; an instruction that is not understood is an
error. In the end the image's command, `gdpw-pipe doctor` and a search for gated files run as the image's user.

What differs from a build: the base `python:X-slim-SUITE` is SUITE out of debootstrap, with Debian's own Python in a
virtual environment at /usr/local, where the base has its Python; Debian's security updates are not in it; a stage that
begins with another is a copy of its folder, not a layer. Needs Linux, root, debootstrap, Debian's mirror and PyPI, and
4 GB of disk for `cpu`, 40 GB for `cuda`, whose compiled part is built, but not run without a GPU.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

_BASE = re.compile(r"python:[0-9.]+-slim-(?P<suite>[a-z]+)")
_BASE_PACKAGES = "ca-certificates,python3,python3-venv"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

_SEARCH = """
import os, sys
from pipeline.catalogue import CATALOGUE
gated = {asset.file for asset in CATALOGUE.values() if not asset.packaged}
found = [f"{folder}/{name}" for folder, _, names in os.walk("/") if not folder.startswith(("/proc", "/dev"))
         for name in gated.intersection(names)]
if found or os.getuid() == 0:
    sys.exit(f"runs as root, or holds gated files: {found}")
"""


class ImageError(Exception):
    """What is wrong with the Dockerfile, or which step failed; one line."""


@dataclass(frozen=True)
class Instruction:
    """One step. flags: such as {"from": "wheel"}. line: in the Dockerfile, counted from 1."""

    name: str
    value: str
    line: int
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next. base: an image, or the name of an earlier stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


@dataclass
class Settings:
    """What instructions leave to those after them, and stages to those that begin with them."""

    env: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Raises ImageError at what is not understood."""
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            match instruction.value.split():
                case [base, "AS", name]:
                    stages.append(Stage(name, base, ()))
                case _:
                    raise _not_understood(instruction)
        elif not stages:
            raise _not_understood(instruction)
        else:
            stage = stages[-1]
            stages[-1] = Stage(stage.name, stage.base, (*stage.instructions, instruction))
    return stages


def needed(stages: Sequence[Stage], target: str) -> list[Stage]:
    """The target and the stages that it is made of, in the Dockerfile's order."""
    by_name = {stage.name: stage for stage in stages}
    if target not in by_name:
        raise ImageError(f"the Dockerfile has no target {target}, but {', '.join(by_name)}")
    wanted, open_ends = set(), [target]
    while open_ends:
        if (stage := by_name.get(open_ends.pop())) and stage.name not in wanted:
            wanted.add(stage.name)
            open_ends += [stage.base, *(step.flags["from"] for step in stage.instructions if "from" in step.flags)]
    return [stage for stage in stages if stage.name in wanted]


def apply(instruction: Instruction, settings: Settings, arguments: dict[str, str], given: Mapping[str, str]) -> None:
    """Take an instruction that changes settings only. arguments: of the stage; given: those of the build."""
    match instruction.name:
        case "ENV":
            settings.env |= dict(_assignment(word, instruction) for word in shlex.split(instruction.value))
        case "ARG":
            (word,) = shlex.split(instruction.value)
            name, default = _assignment(word, instruction)
            arguments[name] = given.get(name, default)
        case "WORKDIR":
            settings.folder = instruction.value
        case "USER":
            settings.user = instruction.value
        case "ENTRYPOINT":
            settings.entrypoint, settings.command = _words(instruction), []
        case "CMD":
            settings.command = _words(instruction)
        case _:
            raise _not_understood(instruction)


def context_files(folder: Path, ignore: str) -> Iterator[Path]:
    """Files of the folder that Docker sends to a build, relative to it. ignore: the content of `.dockerignore`."""
    lines = [line.strip() for line in ignore.splitlines()]
    rules = [(_pattern(line.removeprefix("!")), line[0] == "!") for line in lines if line and line[0] != "#"]
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {".git", ".venv"})  # large, and no rule lets them in again
        for name in sorted(names):
            path = (Path(place) / name).relative_to(folder)
            ways = [path, *path.parents[:-1]]
            kept = [included for pattern, included in rules if any(pattern.fullmatch(way.as_posix()) for way in ways)]
            if not kept or kept[-1]:
                yield path


class Build:
    """Stages as folders of `place`."""

    def __init__(self, place: Path, options: argparse.Namespace) -> None:
        self.place, self.mirror, self.mounts = place, options.mirror, options.mount
        self.given = dict(word.partition("=")[::2] for word in options.build_arg)
        self.outside = {name: os.environ[name] for name in options.env}
        self.settings: dict[str, Settings] = {}

    def stage(self, stage: Stage) -> None:
        """Take all steps of a stage, whose own base has been made."""
        root, arguments = self.place / stage.name, dict[str, str]()
        if parent := self.settings.get(stage.base):
            settings = deepcopy(parent)
            _run(["cp", "--archive", "--reflink=auto", str(self.place / stage.base), str(root)])
        else:
            settings = Settings()
            self._debian(stage.base, root)
        self.settings[stage.name] = settings
        for instruction in stage.instructions:
            begun = time.monotonic()
            match instruction.name:
                case "RUN":
                    self.run(stage.name, ["sh", "-c", instruction.value], arguments)
                case "COPY":
                    self._copy(instruction, root, settings.folder)
                case _:
                    apply(instruction, settings, arguments, self.given)
                    if instruction.name == "WORKDIR":
                        _inside(root, settings.folder).mkdir(parents=True, exist_ok=True)
            what = f"{stage.name}: {instruction.name} {instruction.value[:80]}"
            print(f"{time.monotonic() - begun:7.1f} s  {what}", flush=True)

    def run(self, stage: str, command: Sequence[str], arguments: Mapping[str, str]) -> None:
        """Run a command as the stage's user; its mounts and processes are gone afterwards."""
        root, settings = self.place / stage, self.settings[stage]
        env = {**self.outside, **settings.env, **arguments}
        mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        for path in self.mounts:
            _inside(root, path).mkdir(parents=True, exist_ok=True)
            mounts.append(f"mount --rbind -o ro {shlex.quote(path)} {root}{shlex.quote(path)}")
        inner = ["chroot", f"--userspec={settings.user}:{settings.user}", str(root), "/usr/bin/env", "-i"]
        inner += [f"{name}={value}" for name, value in env.items()]
        inner += ["sh", "-c", 'cd "$0" && exec "$@"', settings.folder, *command]
        script = " && ".join([*mounts, f"exec {shlex.join(inner)}"])
        _run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script])

    def _debian(self, image: str, root: Path) -> None:
        if not (base := _BASE.fullmatch(image)):
            raise ImageError(f"{image}: only bases of the form python:X-slim-SUITE are understood")
        packages = f"--include={_BASE_PACKAGES}"
        _run(["debootstrap", "--variant=minbase", packages, base["suite"], str(root), self.mirror])
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(f"/etc/{name}", root / "etc" / name)
        _run(["chroot", str(root), "python3", "-m", "venv", "/usr/local"])

    def _copy(self, instruction: Instruction, root: Path, folder: str) -> None:
        match shlex.split(instruction.value):
            case [source, target] if "$" not in source + target:
                destination = _inside(root, str(Path(folder) / target))
            case _:
                raise _not_understood(instruction)
        if "from" in instruction.flags:
            origin = _inside(self.place / instruction.flags["from"], source)
            shutil.copytree(origin, destination, dirs_exist_ok=True)
            return
        ignore = (ROOT / ".dockerignore").read_text()
        wanted = Path(source)
        chosen = [path for path in context_files(ROOT, ignore) if path == wanted or path.is_relative_to(wanted)]
        if not chosen:
            raise ImageError(f"Dockerfile:{instruction.line}: no file {source}, or .dockerignore leaves it out")
        for path in chosen:
            file = destination if path == wanted else destination / path.relative_to(wanted)
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, file)


def _instructions(text: str) -> Iterator[Instruction]:
    """Lines that end in a backslash go on in the next; comments are left out, within an instruction too."""
    whole, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (whole or line.strip()):
            continue
        begun = begun if whole else number
        whole += line
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        name, *rest = whole.split(maxsplit=1)
        flags, value = {}, "".join(rest).strip()
        while flag := re.match(r"--([a-z]+)=(\S+)\s+", value):
            flags[flag[1]], value = flag[2], value[flag.end() :]
        instruction = Instruction(name, value, begun, flags)
        if value.startswith(("--", "<<")) or (flags and (name, *flags) != ("COPY", "from")):
            raise _not_understood(instruction)
        yield instruction
        whole = ""


def _assignment(word: str, instruction: Instruction) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or "$" in value:
        raise _not_understood(instruction)
    return name, value


def _words(instruction: Instruction) -> list[str]:
    """The form in brackets, which starts no shell."""
    if not re.fullmatch(r'\[\s*"[^"\\]*"(\s*,\s*"[^"\\]*")*\s*\]', instruction.value):
        raise _not_understood(instruction)
    return re.findall(r'"([^"]*)"', instruction.value)


def _not_understood(instruction: Instruction) -> ImageError:
    return ImageError(f"Dockerfile:{instruction.line}: {instruction.name} {instruction.value[:60]!r} is not understood")


def _pattern(rule: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*)", rule.strip("/"))
    return re.compile("".join({"**/": "(.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"failed: {shlex.join(command)[-300:]} ({error.__class__.__name__})") from error


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("place", type=Path, help="a new folder for the roots; yours to delete")
    options.add_argument("--target", default="cpu")
    options.add_argument("--mirror", default="http://deb.debian.org/debian")
    options.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as docker's")
    options.add_argument("--env", action="append", default=[], metavar="NAME", help="a variable that steps see too")
    options.add_argument("--mount", action="append", default=[], metavar="FOLDER", help="that steps see too, read-only")
    chosen = options.parse_args()
    try:
        stages = needed(parse((ROOT / "Dockerfile").read_text()), chosen.target)
        chosen.place.mkdir(parents=True)
        build = Build(chosen.place.resolve(), chosen)
        for stage in stages:
            build.stage(stage)
        settings = build.settings[chosen.target]
        for command in (
            [*settings.entrypoint, *settings.command],
            [*settings.entrypoint, "doctor"],
            ["python", "-c", _SEARCH],
        ):
            build.run(chosen.target, command, {})
    except (ImageError, OSError) as error:
        sys.exit(f"check_image.py: {error}")
    print(f"target {chosen.target}: every step done")


if __name__ == "__main__":
    main()
