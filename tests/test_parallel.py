"""Several processes on gloo: what they send each other, and batch norm over all of their slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as mp

from gdpw.norm import BatchNorm2d
from gdpw.parallel import GradientAverage, average, processes, rank, sum_over_processes

WORLD = 2


def features() -> Tensor:
    """(4, 3, 2, 5), far from zero, so that a variance computed from sums of squares would be off."""
    generator = torch.Generator().manual_seed(0)
    return 100 + torch.randn(4, 3, 2, 5, generator=generator, dtype=torch.float64)


def weights() -> Tensor:
    return torch.linspace(-1, 1, 120, dtype=torch.float64).view(4, 3, 2, 5)


def normalize(x: Tensor, norm: nn.BatchNorm2d, weight: Tensor) -> dict[str, Tensor]:
    """What a step would see of a batch norm: output, gradients, running statistics."""
    x = x.clone().requires_grad_()
    out = norm(x)
    (out * weight).sum().backward()
    assert norm.weight.grad is not None
    buffers = {"mean": norm.running_mean, "var": norm.running_var, "count": norm.num_batches_tracked}
    return {"out": out.detach(), "grad": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad} | buffers


def layers() -> nn.Sequential:
    """Four layers, the third of which nobody uses."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(1, 1), nn.Linear(5, 2))


def averaged_gradients(number: int) -> dict[str, Any]:
    """Of two backward passes, averaged as the second makes them; and how many buckets had left at the first layer's."""
    network = layers()
    gradients = GradientAverage(network.parameters(), bucket=10)
    left = []
    for part in range(2):
        x = torch.full((6, 3), 1.0 + 10 * number + part)
        loss = network[3](network[1](network[0](x)).relu()).square().mean()
        if part == 0:
            loss.backward()
            continue
        network[0].weight.register_hook(lambda _: left.append(len(gradients._sent)))
        with gradients.during_backward():
            loss.backward()
    gradients.wait()
    return {"gradients": {name: p.grad for name, p in network.named_parameters() if p.grad is not None}, "left": left}


def work(number: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=WORLD)
    assert (processes(), rank()) == (WORLD, number)
    own = slice(2 * number, 2 * number + 2)
    found = normalize(features()[own], BatchNorm2d(3).double(), weights()[own])
    means = [torch.full((2,), float(number)), torch.tensor([[10.0 * number]])]
    average(means)
    x = torch.tensor([1.0 + number], requires_grad=True)
    total = sum_over_processes(x)
    ((number + 1) * total).sum().backward()
    found |= averaged_gradients(number)
    torch.save(found | {"means": means, "total": total.detach(), "x": x.grad}, f"{folder}/{number}.pth")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(work, (str(folder),), WORLD)
    return [torch.load(Path(folder) / f"{number}.pth", weights_only=True) for number in range(WORLD)]


@pytest.fixture(scope="module")
def whole() -> dict:
    return normalize(features(), nn.BatchNorm2d(3).double(), weights())


@pytest.mark.parametrize("what", ["out", "grad"])
def test_slices_are_normalised_as_parts_of_the_whole_batch(found: list[dict], whole: dict, what: str) -> None:
    torch.testing.assert_close(torch.cat([each[what] for each in found]), whole[what], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("what", ["weight", "bias"])
def test_each_process_has_its_slice_of_the_parameters_gradient(found: list[dict], whole: dict, what: str) -> None:
    torch.testing.assert_close(sum(each[what] for each in found), whole[what], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("what", ["mean", "var", "count"])
def test_running_statistics_are_those_of_the_whole_batch_in_every_process(
    found: list[dict], whole: dict, what: str
) -> None:
    for each in found:
        torch.testing.assert_close(each[what], whole[what], rtol=1e-9, atol=1e-9)


def test_processes_share_means_and_the_gradient_of_a_sum(found: list[dict]) -> None:
    for each in found:
        assert [tensor.tolist() for tensor in each["means"]] == [[0.5, 0.5], [[5.0]]]
        assert each["total"].tolist() == [3.0]
        assert each["x"].tolist() == [3.0]  # the losses of both hang on it, one and two times


def test_gradients_get_their_mean_over_the_processes_bucket_by_bucket(found: list[dict]) -> None:
    network = layers()
    for number in range(WORLD):
        for part in range(2):
            x = torch.full((6, 3), 1.0 + 10 * number + part)
            network[3](network[1](network[0](x)).relu()).square().mean().backward()
    expected = {name: p.grad / WORLD for name, p in network.named_parameters() if p.grad is not None}
    assert len(expected) == 6
    for each in found:
        torch.testing.assert_close(each["gradients"], expected)
    assert all(torch.equal(a, b) for a, b in zip(*(each["gradients"].values() for each in found), strict=True))


def test_buckets_leave_while_the_backward_pass_goes_on(found: list[dict]) -> None:
    """The last layer's has left before the first one's gradient is there; the unused third holds up the others."""
    assert [each["left"] for each in found] == [[1], [1]]


def test_one_process_sends_nothing() -> None:
    tensors = [torch.ones(2)]
    average(tensors)
    assert processes() == 1
    assert tensors[0].tolist() == [1, 1]
