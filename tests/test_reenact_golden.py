"""reenact with the recipe's weights: its pictures are what the network says when it is called directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from golden_set import PREFIX, recipe_state

from fit_deca.head import load_generic_head
from gdpw.checkpoint import Checkpoint, save_checkpoint
from gdpw.config import GeneratorConfig
from gdpw.generator import Generator
from gdpw.geometry import pixels_to_ndc
from jobs.reenact import ReenactConfig, run
from pipeline.crop import CropConfig
from pipeline.driving import read_driving
from pipeline.fit import FitTrack
from pipeline.models import ModelConfig
from pipeline.pictures import read_picture
from pipeline.portrait import read_portrait
from pipeline.reenactment import follow, framed_for
from pipeline.render import meshes
from pipeline.tracks import FindTracks

HEAD = load_generic_head()
SIZE = 128


@torch.no_grad()
def test_frames_are_the_numbers_of_the_network(astronaut: Path, excerpt: Path, tmp_path: Path) -> None:
    settings = GeneratorConfig.small("both", vertices=len(HEAD.v_template))
    generator = Generator(settings, torch.from_numpy(HEAD.faces))
    generator.load_state_dict(recipe_state(f"{PREFIX}G/both", generator.state_dict()))
    generator.eval()
    weights = tmp_path / "recipe.pth"
    save_checkpoint(
        weights, Checkpoint(name="recipe", config=settings, generator=generator.state_dict(), face_model=HEAD.hash)
    )
    config = ReenactConfig(
        source=str(astronaut),
        driving=str(excerpt),
        out=tmp_path / "out.mp4",
        frames=tmp_path / "frames",
        model=ModelConfig(checkpoint=weights, device="cpu"),
        crop=CropConfig(size=SIZE),
    )
    run(config)

    fit_track = FitTrack(config.fit)
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(config.source, find_tracks, fit_track, SIZE)
        driving = read_driving(config.driving, find_tracks, fit_track, SIZE)
    source = framed_for(portrait, driving, fit_track.flame).take
    performance = follow(source, driving, config.follow, fit_track.flame)
    mesh = pixels_to_ndc(torch.from_numpy(source.vertices), SIZE, SIZE)
    image = torch.from_numpy(source.images).permute(0, 3, 1, 2) / 255
    driven = pixels_to_ndc(meshes(fit_track.flame, performance), SIZE, SIZE)
    guidance = generator.draw_guidance(mesh, driven, SIZE, SIZE)
    output = generator(
        image.expand(12, -1, -1, -1), generator.draw_source(mesh, SIZE, SIZE).expand(12, -1, -1, -1), guidance
    )
    expected = (output.image * 255).permute(0, 2, 3, 1).numpy()

    written = np.stack([read_picture(tmp_path / "frames" / f"{number:06d}.png") for number in range(12)])
    assert expected.std() > 5
    assert np.abs(written - expected).max() < 0.51
