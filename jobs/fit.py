"""One picture or clip -> codes, a mesh and a preview."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jobs.options import say_fitter
from jobs.outputs import new_folder
from pipeline.crop import CropConfig, CropTrack
from pipeline.encode import write_video
from pipeline.fit import FitConfig, FitTrack
from pipeline.fit_files import preview, write_codes, write_mesh
from pipeline.pictures import write_picture
from pipeline.records import Kind
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig

CODES, MESH, PREVIEW = "codes.npz", "mesh.obj", "preview"


@dataclass(frozen=True, kw_only=True)
class FitJobConfig:
    """input: a picture, a video or a folder of frames. out: a folder, new or empty."""

    input: Path
    out: Path
    tracks: TrackConfig = field(default_factory=lambda: TrackConfig(min_frames=1))
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)


def run(config: FitJobConfig) -> str:
    """Write the files. Returns a summary for people.

    Raises InputError if there is no usable face, MisuseError or PipelineError for `out`.
    """
    new_folder(config.out)
    say_fitter()
    fit_track = FitTrack(config.fit)
    clip = clip_of(config.input)
    with FindTracks(config.tracks) as find_tracks:
        track = max(find_tracks(clip).tracks, key=len)
    crops = CropTrack(replace(config.crop, encoder=fit_track.sees_pictures))(track)
    fit = fit_track(track, crops)
    write_codes(config.out / CODES, track, crops, fit)
    write_mesh(config.out / MESH, fit_track.flame, fit.codes)
    pictures = preview(crops, fit, fit_track.face_model.faces)
    if clip.kind == Kind.PICTURE:
        write_picture(config.out / f"{PREVIEW}.png", next(pictures))
    else:
        write_video(config.out / f"{PREVIEW}.mp4", pictures, track.times)
    frames = f"{len(track)} frames" if len(track) > 1 else "1 frame"
    return f"{config.out}: {frames}, median error {np.median(fit.error_px):.2f} px of {config.crop.size}"
