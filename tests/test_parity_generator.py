"""Generator outputs and every layer of it against the published numbers, in evaluation mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden_generator import KINDS, case_inputs, config_of, recipe_generator, released_size, subsample
from golden_set import assert_golden, read_json, read_npz
from torch import Tensor

from gdpw.generator import Generator, GeneratorOutput

EVAL = read_json("generator_eval")


def generator_of(case: str) -> Generator:
    kind, settings = case.split("/")[0], EVAL[case]
    if kind in KINDS:
        return released_size(kind)
    return recipe_generator(config_of(settings["config"]), settings["weights_prefix"])


def run(case: str) -> tuple[GeneratorOutput, dict[str, Tensor]]:
    """The output, and that of every module that `layers` names."""
    generator, seen = generator_of(case), {}

    def note(name: str) -> Any:
        return lambda module, inputs, output: seen.update({name: output.detach().clone()})

    hooks = [generator.get_submodule(name).register_forward_hook(note(name)) for name in EVAL[case]["layers"]]
    with torch.no_grad():
        output = generator(*case_inputs(case))
    for hook in hooks:
        hook.remove()
    return output, seen


def named(output: GeneratorOutput) -> dict[str, Tensor]:
    pictures = {"warp_img_s": output.warped, "out_img": output.painted, "alpha": output.alpha}
    flows = {f"flows/x{stride}": flow for stride, flow in output.flows.items()}
    mesh_flows = {f"mesh_flows/x{stride}": flow for stride, flow in output.mesh_flows.items()}
    return pictures | {"rec_img_d": output.image} | flows | mesh_flows


@pytest.mark.parametrize("case", EVAL)
def test_outputs_and_layers_equal_the_published_ones(case: str) -> None:
    output, layers = run(case)
    maps, golden = named(output), read_npz("generator_eval")
    stored = [name for name in EVAL[case]["stats"] if f"{case}/{name}" in golden]
    assert {"out_img", "warp_img_s", "alpha", "flows/x1"} <= set(stored)
    for name in stored:
        quantity, step = f"{case}/{name}", EVAL[case]["stats"][name][-1]
        assert_golden(subsample(maps[name], step), golden[quantity], f"generator_eval/{quantity}")
    for name, (mean, mean_abs, deviation) in EVAL[case]["layers"].items():
        seen = layers[name].double()
        found = torch.stack([seen.mean(), seen.abs().mean(), seen.std()])
        # README, section 4, gives no tolerance for layers; float32 sums of up to 4 million products stay within this.
        torch.testing.assert_close(found.tolist(), [mean, mean_abs, deviation], rtol=2e-5, atol=2e-5, msg=name)


def test_the_picture_is_the_painted_one_unless_blended() -> None:
    plain, blended = "both/64x64", next(c for c in EVAL if EVAL[c]["config"]["USE_ALPHA_BLEND"])
    assert torch.equal((output := run(plain)[0]).image, output.painted)
    output = run(blended)[0]
    assert torch.equal(output.image, output.alpha * output.painted + (1 - output.alpha) * output.warped)
