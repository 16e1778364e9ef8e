"""A portrait's face edited: by a prompt, by lines, by the preset animation, or on a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fit_deca.codes import Codes
from fit_deca.editing import preset_animation
from jobs.edit_language import change, obey, script_lines, summary
from jobs.options import say_fitter
from jobs.outputs import MisuseError, new_file
from pipeline.crop import CropConfig
from pipeline.edit_file import SUFFIX
from pipeline.edit_session import FPS, DrawEdits, EditSession
from pipeline.encode import EncodeConfig, write_video
from pipeline.errors import PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.margin import with_margin
from pipeline.models import ModelConfig, load_model
from pipeline.portrait import read_portrait
from pipeline.shards import FaceModelStamp
from pipeline.tracks import FindTracks, TrackConfig

PICTURE, VIDEO = Path("face_edit_output_img.jpg"), Path("face_reenact_demo_video.mp4")
"""Names of results, as published; a former result under them is replaced."""

MARGIN = 1 / 4
"""Share of the picture's side that is seen beyond each of its edges: an edit turns heads farther than drivers do."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the page is served."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class EditConfig:
    """portrait: as `pipeline.addresses` names sources. out: a .jpg, or a preset's .mp4; None is `PICTURE` or `VIDEO`.

    commands, script: lines that are obeyed first; where neither preset nor web follows, they are all.
    preset: one of `editing.PRESET_ACTS`, or all. save: where the codes of the result go. web: serve the page.
    """

    portrait: str
    out: Path | None = None
    overwrite: bool = False
    commands: str | None = None
    script: Path | None = None
    preset: str | None = None
    save: Path | None = None
    web: Address | None = None
    tracks: TrackConfig = field(default_factory=TrackConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)

    @property
    def target(self) -> Path:
        """The file that is written."""
        return self.out or (VIDEO if self.preset else PICTURE)

    @property
    def converses(self) -> bool:
        """Whether somebody is asked for lines."""
        return not (self.web or self.preset or self.script or self.commands is not None)


def run(config: EditConfig) -> str:
    """Edit, and write picture, video or codes. Returns a summary for people.

    Raises MisuseError for outputs, for options that do not go together and for a line that cannot be obeyed (prompt and
    page tell the faults of their lines themselves), InputError if there is no usable face, CheckpointError for the
    weights.
    """
    _check(config)
    say_fitter()
    session = open_session(config)
    _obey_all(session, config)
    if config.web:
        from jobs.edit_web import serve

        serve(session, config.web.host, config.web.port)
        return "stopped"
    if config.converses:
        _converse(session, config)
        return f"{config.target}: {summary(session)}"
    frames = preset_animation(session.codes, config.preset) if config.preset else None
    if config.save:
        session.save(config.save, frames)
    if frames is None:
        session.write_picture(config.target)
        return f"{config.target}: {summary(session)}"
    write_video(config.target, _animation(session, frames), FPS, config=EncodeConfig(synthetic=True))
    return f"{config.target}: {len(frames.shape)} frames"


def open_session(config: EditConfig) -> EditSession:
    """The portrait's face, cut out and fitted, and the model that redraws it."""
    fit_track = FitTrack(config.fit)
    model = load_model(config.model, fit_track.face_model)
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(config.portrait, find_tracks, fit_track, config.crop.size)
    stage = with_margin(portrait, MARGIN) if config.model.sees_around else None
    draw = DrawEdits(portrait.take, fit_track.flame, model, stage)
    return EditSession(draw, FaceModelStamp.of(fit_track.face_model))


def _check(config: EditConfig) -> None:
    if config.web and config.preset:
        raise MisuseError("--web and --preset do not go together: the page shows one edit, the preset makes a video")
    if config.save and (config.web or config.converses):
        raise MisuseError("--save goes with --commands, --script or --preset; prompt and page save on demand")
    if config.save:
        new_file(config.save, SUFFIX, overwrite=config.overwrite)
    if config.web:
        if config.out:
            raise MisuseError("--web writes no file of its own; the page has downloads")
        return
    replaced = config.overwrite or config.out is None
    new_file(config.target, ".mp4" if config.preset else ".jpg", overwrite=replaced)


def _obey_all(session: EditSession, config: EditConfig) -> None:
    """Obey the lines that came with the command; where they cannot be, say which one and stop."""
    if config.script:
        for number, line in script_lines(config.script):
            try:
                reply = obey(session, line, overwrite=config.overwrite)
            except PipelineError as error:
                raise MisuseError(f"{config.script}:{number}: {error}") from error
            if reply.ended:
                break
            if reply.text and not reply.changed:
                click.echo(reply.text)
    if config.commands:
        change(session, config.commands)


def _converse(session: EditSession, config: EditConfig) -> None:
    """Do what each line says, and write the picture whenever it changes."""
    from jobs.edit_prompt import read_lines

    session.write_picture(config.target)
    for line in read_lines(session):
        try:
            reply = obey(session, line, overwrite=config.overwrite)
            if reply.changed:
                session.write_picture(config.target)
        except PipelineError as error:
            click.echo(f"error: {error}", err=True)
            continue
        if reply.ended:
            return
        if reply.text:
            click.echo(reply.text)


def _animation(session: EditSession, frames: Codes) -> Iterator[NDArray[np.uint8]]:
    for panels in tqdm(session.draw(frames), total=len(frames.shape), disable=None):
        yield panels.side_by_side()
