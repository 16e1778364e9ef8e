"""Videos in, a dataset out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from jobs.options import (
    ANY_PATH,
    EXISTING,
    address_option,
    debug_option,
    fit_options,
    log_option,
    size_option,
    tracker_option,
)

if TYPE_CHECKING:
    from pipeline.fit import FitConfig

LAYOUTS = ("auto", "plain", "voxceleb", "video-preprocessing", "gdpw")
_STORED = ("vertices", "codes")


class _Rate(click.ParamType):
    """source, or a number."""

    name = "source|N"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float | None:
        if value == "source":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither source nor a number", parameter, context)


class _Bytes(click.ParamType):
    """A number of bytes, with K, M or G behind it or not."""

    name = "BYTES"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number, unit = (value[:-1], value[-1].upper()) if value[-1:].upper() in ("K", "M", "G") else (value, "")
        try:
            return int(float(number) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[unit])
        except ValueError:
            self.fail(f"{value!r} is no number of bytes, such as 1G or 500M", parameter, context)


class _Arrays(click.ParamType):
    """Names of arrays with commas between them, in whatever order."""

    name = "vertices,codes"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, ...]:
        wanted = set(value.split(","))
        if unknown := wanted.difference(_STORED):
            self.fail(f"{', '.join(sorted(unknown))!r} is none of {', '.join(_STORED)}", parameter, context)
        return tuple(name for name in _STORED if name in wanted)


@click.command()
@click.argument("input", type=EXISTING)
@click.argument("out", type=ANY_PATH)
@click.option(
    "--layout", type=click.Choice(LAYOUTS), default="auto", show_default=True, help="Where names of people come from."
)
@click.option("--metadata", type=EXISTING, help="Annotations to cut out of the uploads in INPUT, or a table of people.")
@click.option("--fps", type=_Rate(), default="source", show_default=True, help="Frames a second that become samples.")
@click.option("--assume-fps", type=float, help="Frames a second of all files, where their own time stamps are wrong.")
@click.option("--max-frames-per-clip", type=click.IntRange(min=1), help="Read no more of a clip.")
@click.option(
    "--faces",
    type=click.Choice(["largest", "all", "reject"]),
    default="largest",
    show_default=True,
    help="Where there are several: follow the largest of a shot, or all, or leave the clip out.",
)
@click.option(
    "--crop",
    type=click.Choice(["track", "frame", "none"]),
    default="track",
    show_default=True,
    help="One fixed square for a track, a square for each frame, or the whole picture.",
)
@size_option
@tracker_option
@fit_options()
@click.option(
    "--store",
    type=_Arrays(),
    default="vertices,codes",
    show_default=True,
    help="Beside pictures: codes alone save bytes, but training and export need vertices; reenact needs codes.",
)
@click.option("--shard-size", type=_Bytes(), default="1G", show_default=True, help="Bytes from which a shard is full.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="At once, of the whole cluster; any number gives the same shards.  [one a core, of nodes that join later too]",
)
@address_option
@click.option("--decode-timeout", type=float, default=60, show_default=True, help="Seconds until a decoder hangs.")
@click.option("--max-failed", type=click.IntRange(min=0), help="Stop after more failed inputs than this.")
@click.option("--retry", type=click.Choice(["failed"]), help="Do again what failed in a former run.")
@log_option
@click.option("--dry-run", is_flag=True, help="Write nothing; say how much there is to do, by a short measurement.")
@debug_option
def preprocess(
    input: Path,
    out: Path,
    layout: Literal["auto", "plain", "voxceleb", "video-preprocessing", "gdpw"],
    metadata: Path | None,
    fps: float | None,
    assume_fps: float | None,
    max_frames_per_clip: int | None,
    faces: Literal["largest", "all", "reject"],
    crop: Literal["track", "frame", "none"],
    size: int,
    tracker: Literal["mediapipe", "face-alignment"],
    fit: FitConfig,
    store: tuple[Literal["vertices", "codes"], ...],
    shard_size: int,
    workers: int | None,
    address: str | None,
    decode_timeout: float,
    max_failed: int | None,
    retry: Literal["failed"] | None,
    log: Path | None,
    dry_run: bool,
) -> None:
    """Fit a head to the faces in INPUT and write OUT.

    INPUT is a video, a still, a folder of them, a published set or a list. OUT is a folder of WebDataset shards with
    manifest.parquet (a row a track) and ledger.parquet (a row an input). A run that was stopped goes on when it is
    begun again; 'gdpw-pipe status OUT' says how far it is.
    """
    from jobs.preprocess import PreprocessConfig, run
    from pipeline.crop import CropConfig
    from pipeline.parts import ReadConfig
    from pipeline.tracks import TrackConfig

    try:
        config = PreprocessConfig(
            input=input,
            out=out,
            layout=layout,
            metadata=metadata,
            read=ReadConfig(fps=fps, assume_fps=assume_fps, max_frames=max_frames_per_clip, timeout=decode_timeout),
            tracks=TrackConfig(tracker=tracker, faces=faces),
            crop=CropConfig(size=size, mode=crop),
            fit=fit,
            store=store,
            shard_bytes=shard_size,
            workers=workers,
            address=address,
            max_failed=max_failed,
            retry=retry,
            log=log,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if dry_run:
        from jobs.estimate import estimate

        click.echo(estimate(config))
    else:
        click.echo(run(config))
