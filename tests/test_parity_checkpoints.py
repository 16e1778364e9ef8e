"""Key lists of the released files, and files written in their layout with the recipe's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden_generator import KINDS, case_inputs, faces, recipe_discriminator, released_size
from golden_set import assert_golden, read_json, read_npz
from torch import nn

from gdpw.checkpoint import export_released, load_checkpoint
from gdpw.config import DiscriminatorConfig, GeneratorConfig
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.generator import Generator


def outline(model: str) -> nn.Module:
    with torch.device("meta"):
        if model == "discriminator":
            return MultiScaleDiscriminator(DiscriminatorConfig())
        return Generator(GeneratorConfig(guidance=model.split("/")[1]), faces())


@pytest.mark.parametrize("model", ["discriminator", *(f"generator/{kind}" for kind in KINDS)])
def test_the_state_dict_has_the_released_keys_in_order(model: str) -> None:
    golden, network = read_json("state_dicts")[model], outline(model)
    parameters = dict(network.named_parameters())
    found = [
        [key, list(x.shape), str(x.dtype).removeprefix("torch."), "parameter" if key in parameters else "buffer"]
        for key, x in network.state_dict().items()
    ]
    assert found == golden["state"]
    assert len(found) == golden["entries"]
    assert sum(p.numel() for p in parameters.values()) == golden["parameters"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_released_file_loads_strictly_and_survives_export(kind: str, tmp_path: Path) -> None:
    """Released layout -> checkpoint -> released layout: the same tensors; and the published picture."""
    generator, discriminator = released_size(kind), recipe_discriminator()
    content = {"generator": generator.state_dict(), "discriminator": discriminator.state_dict(), "global_step": 70_000}
    torch.save(content, tmp_path / "PWM.pth")
    loaded = load_checkpoint(tmp_path / "PWM.pth")
    assert loaded.config == GeneratorConfig(guidance=kind)
    assert (loaded.step, loaded.face_model) == (70_000, None)

    export_released(tmp_path / "again.pth", loaded)
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert again.keys() == content.keys()
    assert again["global_step"] == 70_000
    for player in ("generator", "discriminator"):
        assert list(again[player]) == list(content[player])
        for key, value in content[player].items():
            torch.testing.assert_close(again[player][key], value, rtol=0, atol=0, equal_nan=True)
    assert again["generator"]["downsamples.x1.weight"].isnan().all()

    assert all(map(torch.equal, loaded.build_discriminator().parameters(), discriminator.parameters()))
    case = f"{kind}/64x64"
    with torch.no_grad():
        painted = loaded.build_generator(faces(), 5023, "any")(*case_inputs(case)).painted
    assert_golden(painted, read_npz("generator_eval")[f"{case}/out_img"], f"generator_eval/{case}/out_img")
