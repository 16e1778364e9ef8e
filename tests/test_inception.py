from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw.errors import CheckpointError
from gdpw.inception import FEATURES, SIDE, Inception


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights by the published names, the classifier included, such that features neither die nor grow."""
    rng = torch.Generator().manual_seed(0)
    state = {"fc.weight": torch.zeros(1008, FEATURES), "fc.bias": torch.zeros(1008)}
    for key, value in Inception().state_dict().items():
        match key.rpartition(".")[2], value.dim():
            case "weight", 4:
                state[key] = torch.randn(value.shape, generator=rng) * (2 / value[0].numel()) ** 0.5
            case "weight" | "running_var", 1:
                state[key] = 0.5 + torch.rand(value.shape, generator=rng)
            case "bias" | "running_mean", 1:
                state[key] = 0.3 * torch.randn(value.shape, generator=rng)
    return state


@pytest.fixture(scope="module")
def file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "pt_inception.pth"
    torch.save(state, path)
    return path


def _written_out(state: dict[str, Tensor], picture: Tensor) -> Tensor:
    """The network straight from the file's own names, each line a layer of the paper's figures."""

    def conv(x: Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, variance, weight, bias = (
            state[f"{name}.bn.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (variance + 0.001).sqrt() * weight + bias).relu()

    def mean_pool(x: Tensor) -> Tensor:
        ones = F.avg_pool2d(torch.ones_like(x), 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1) / ones

    def fine(x: Tensor, m: str) -> Tensor:
        five = conv(conv(x, f"{m}.branch5x5_1"), f"{m}.branch5x5_2", padding=2)
        double = conv(conv(x, f"{m}.branch3x3dbl_1"), f"{m}.branch3x3dbl_2", padding=1)
        double = conv(double, f"{m}.branch3x3dbl_3", padding=1)
        return torch.cat([conv(x, f"{m}.branch1x1"), five, double, conv(mean_pool(x), f"{m}.branch_pool")], 1)

    def middle(x: Tensor, m: str) -> Tensor:
        row, column = (0, 3), (3, 0)
        seven = conv(conv(x, f"{m}.branch7x7_1"), f"{m}.branch7x7_2", padding=row)
        seven = conv(seven, f"{m}.branch7x7_3", padding=column)
        double = conv(conv(x, f"{m}.branch7x7dbl_1"), f"{m}.branch7x7dbl_2", padding=column)
        double = conv(conv(double, f"{m}.branch7x7dbl_3", padding=row), f"{m}.branch7x7dbl_4", padding=column)
        double = conv(double, f"{m}.branch7x7dbl_5", padding=row)
        return torch.cat([conv(x, f"{m}.branch1x1"), seven, double, conv(mean_pool(x), f"{m}.branch_pool")], 1)

    def coarse(x: Tensor, m: str, pooled: Tensor) -> Tensor:
        def fork(x: Tensor, name: str) -> Tensor:
            return torch.cat([conv(x, f"{name}a", padding=(0, 1)), conv(x, f"{name}b", padding=(1, 0))], 1)

        three = fork(conv(x, f"{m}.branch3x3_1"), f"{m}.branch3x3_2")
        double = conv(conv(x, f"{m}.branch3x3dbl_1"), f"{m}.branch3x3dbl_2", padding=1)
        double = fork(double, f"{m}.branch3x3dbl_3")
        return torch.cat([conv(x, f"{m}.branch1x1"), three, double, conv(pooled, f"{m}.branch_pool")], 1)

    x = F.interpolate(picture, size=(SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
    x = conv(conv(x, "Conv2d_1a_3x3", stride=2), "Conv2d_2a_3x3")
    x = F.max_pool2d(conv(x, "Conv2d_2b_3x3", padding=1), 3, 2)
    x = F.max_pool2d(conv(conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    x = fine(fine(fine(x, "Mixed_5b"), "Mixed_5c"), "Mixed_5d")
    double = conv(conv(x, "Mixed_6a.branch3x3dbl_1"), "Mixed_6a.branch3x3dbl_2", padding=1)
    double = conv(double, "Mixed_6a.branch3x3dbl_3", stride=2)
    x = torch.cat([conv(x, "Mixed_6a.branch3x3", stride=2), double, F.max_pool2d(x, 3, 2)], 1)
    x = middle(middle(middle(middle(x, "Mixed_6b"), "Mixed_6c"), "Mixed_6d"), "Mixed_6e")
    three = conv(conv(x, "Mixed_7a.branch3x3_1"), "Mixed_7a.branch3x3_2", stride=2)
    seven = conv(conv(x, "Mixed_7a.branch7x7x3_1"), "Mixed_7a.branch7x7x3_2", padding=(0, 3))
    seven = conv(conv(seven, "Mixed_7a.branch7x7x3_3", padding=(3, 0)), "Mixed_7a.branch7x7x3_4", stride=2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    x = coarse(x, "Mixed_7b", mean_pool(x))
    x = coarse(x, "Mixed_7c", F.max_pool2d(x, 3, 1, 1))
    return x.mean((2, 3))


def test_the_network_is_that_of_its_file_written_out(state: dict[str, Tensor], file: Path) -> None:
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    expected = _written_out(state, picture)
    found = Inception.load(file)(picture)
    assert found.shape == (1, FEATURES)
    assert expected.std() > 0.01
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_another_file_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    changed = {**state, "Mixed_6b.branch7x7_2.conv.weight": torch.zeros(128, 128, 7, 1)}
    torch.save(changed, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"Mixed_6b.branch7x7_2.conv.weight is \(128, 128, 7, 1\)"):
        Inception.load(tmp_path / "other.pth")
    torch.save({key: value for key, value in state.items() if "7c" not in key}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="lacks"):
        Inception.load(tmp_path / "other.pth")
