"""The stages of `render`: inputs are prepared, pictures generated, videos written. None knows of the others' place."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import why_not_written
from pipeline.crop import CropConfig
from pipeline.driving import Driving, OnMissing, read_driving
from pipeline.encode import EncodeConfig, write_video
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.fit import FitConfig, FitTrack
from pipeline.ledger import Status
from pipeline.margin import staged
from pipeline.models import ModelConfig, load_model
from pipeline.paste import ROOM, paste_back
from pipeline.performance import Performance
from pipeline.portrait import Portrait, read_portrait
from pipeline.reenactment import FollowConfig, follow, framed_for, panels
from pipeline.render import Animate, Encoded, Stage
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob
from pipeline.tracks import FindTracks, TrackConfig

ROW_OPTIONS = ("layout", "paste_back", "audio", "keep", "relative", "smooth", "on_missing")
"""What a job of a list may ask for itself, in the words of the command's options."""

GPU_BATCH = 32
"""Frames that a GPU draws at once: beyond as many it is hardly faster."""
_KEPT_VIEWS = 32
"""Views of sources that a generator remembers."""
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What decides how results look.

    panels: source and driver beside the result. paste_back: the result in the source's whole picture. sound: the
    driver's goes along.
    """

    panels: bool = False
    paste_back: bool = False
    sound: bool = True
    tracks: TrackConfig = field(default_factory=lambda: TrackConfig(min_frames=1))
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)
    encode: EncodeConfig = field(default_factory=lambda: EncodeConfig(synthetic=True, threads=1))

    def __post_init__(self) -> None:
        if self.panels and self.paste_back:
            raise ValueError("panels show crops of equal size: either they, or the result pasted back")

    def stored(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return dict(_plain(self))

    def of(self, job: RenderJob) -> RenderConfig:
        """The same with what the job asks for itself. Raises ValueError for what there is not."""
        options: dict[str, Any] = dict(job.options)
        transfer, on_missing = self.follow.transfer, options.pop("on_missing", self.follow.on_missing)
        if kept := options.pop("keep", None):
            transfer = replace(transfer, keep=frozenset(kept.replace("+", " ").split()))
        for name in ("relative", "smooth"):
            transfer = replace(transfer, **{name: options.pop(name, getattr(transfer, name))})
        layout = _one_of("layout", options.pop("layout", None), {"result": False, "panels": True}, self.panels)
        pasted = _one_of("paste_back", options.pop("paste_back", None), _YES_NO, self.paste_back)
        sound = _one_of("audio", options.pop("audio", None), {"driving": True, "none": False}, self.sound)
        if options:
            raise ValueError(f"no such option: {', '.join(options)}")
        if on_missing not in get_args(OnMissing):
            raise ValueError(f"on_missing is {on_missing!r}, not one of {', '.join(get_args(OnMissing))}")
        follow = FollowConfig(transfer=transfer, on_missing=on_missing)
        return replace(self, panels=layout, paste_back=pasted, sound=sound, follow=follow)


class Prepare:
    """Names of inputs -> portraits and drivers, decoded and fitted.

    Raises InputError where one cannot be used.
    """

    def __init__(self, config: RenderConfig) -> None:
        self._size = config.crop.size
        self._find_tracks = FindTracks(config.tracks)
        self._fit_track = FitTrack(config.fit)

    def source(self, name: str) -> Portrait:
        with _as_input():
            return read_portrait(name, self._find_tracks, self._fit_track, self._size)

    def driving(self, name: str) -> Driving:
        with _as_input():
            return read_driving(name, self._find_tracks, self._fit_track, self._size)


class View(NamedTuple):
    """A source as one or more drivers need it framed: who it is, how large a square around the face is seen, and on
    what stage, by the side of its picture."""

    source: str
    side: int
    stage: int


class Generate:
    """What a source does -> its pictures. A view is encoded when it is first asked for, and remembered.

    encoded: how many times one was. device: where the model runs.
    Raises CheckpointError, FaceModelError and PipelineError when it is built; see `load_model`.
    """

    def __init__(self, config: RenderConfig, device: str) -> None:
        fit_track = FitTrack(replace(config.fit, device=device))
        batch = GPU_BATCH if device.startswith("cuda") else config.model.batch
        model = load_model(replace(config.model, device=device, batch=batch), fit_track.face_model)
        self._animate = Animate(fit_track.flame, model, batch)
        self._views: OrderedDict[View, Encoded] = OrderedDict()
        self.encoded = 0

    def __call__(self, view: View, stage: Callable[[], Stage], performance: Performance) -> NDArray[np.uint8]:
        """(T, S, S, 3) RGB. stage: gives the source in that view, and is asked only if it is not remembered."""
        return np.stack(list(self._animate.move(self._encoded(view, stage), performance)))

    def _encoded(self, view: View, stage: Callable[[], Stage]) -> Encoded:
        if view not in self._views:
            self._views[view] = self._animate.encode(stage())
            self.encoded += 1
            if len(self._views) > _KEPT_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(view)
        return self._views[view]


Pictures = Callable[[View, Stage, Performance], Iterator[NDArray[np.uint8]]]
"""What a source in a view does -> its pictures one by one, (S, S, 3) RGB."""


class Write:
    """A job, its inputs and what gives its pictures -> its video below `out`, and its row."""

    def __init__(self, config: RenderConfig, out: Path) -> None:
        self._config, self._out = config, out
        self._flame = FitTrack(replace(config.fit, device="cpu")).flame

    def __call__(self, job: RenderJob, portrait: Portrait, driving: Driving, pictures: Pictures) -> RenderRow:
        start = time.perf_counter()
        path = self._out / job.output
        try:
            config = self._config.of(job)
            portrait = framed_for(portrait, driving, self._flame, least=ROOM if config.paste_back else 1)
            performance = follow(portrait.take, driving, config.follow, self._flame)
            stage = staged(portrait, config.model, pasted=config.paste_back)
            view = View(job.source, portrait.window.side, stage.take.size)
            results = pictures(view, stage, performance)
            frames = _laid_out(config, portrait, driving, results)
            sound = driving.film if config.sound else None
            write_video(path, frames, performance.times, tick=driving.tick, sound=sound, config=config.encode)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except InputError as error:
            return RenderRow.without(job, error.reason, error.message, time.perf_counter() - start)
        except PipelineError as error:
            return RenderRow.without(job, why_not_written(error), str(error), time.perf_counter() - start)
        return RenderRow(
            output=job.output,
            source=job.source,
            driving=job.driving,
            status=Status.DONE,
            reason=driving.fault.reason if driving.fault else None,
            message=driving.fault.message if driving.fault else "",
            frames=len(performance),
            seconds=time.perf_counter() - start,
            bytes=path.stat().st_size,
            sha256=digest,
        )


def _laid_out(
    config: RenderConfig, portrait: Portrait, driving: Driving, results: Iterator[NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    if config.panels:
        return panels(portrait.take, results, driving, config.follow.on_missing)
    return paste_back(portrait, results) if config.paste_back else results


@contextmanager
def _as_input() -> Iterator[None]:
    """What is no input at all, or one of another face model, is an input that cannot be used."""
    try:
        yield
    except InputError:
        raise
    except PipelineError as error:
        raise InputError(Reason.UNUSABLE, str(error)) from error


def _one_of(name: str, word: str | None, meanings: Mapping[str, bool], default: bool) -> bool:
    if word is None:
        return default
    if word.lower() not in meanings:
        raise ValueError(f"{name} is {word!r}, not one of {', '.join(meanings)}")
    return meanings[word.lower()]


def _plain(value: Any) -> Any:
    """A config as JSON holds it: settings by name, sets in order, paths as text."""
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, frozenset | tuple):
        return [_plain(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    return value if isinstance(value, str | int | float | None) else str(value)
