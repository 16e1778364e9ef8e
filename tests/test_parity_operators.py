"""Anti-aliased downsampling and backward warping against the published numbers."""

from __future__ import annotations

import pytest
import torch
from golden_generator import picture
from golden_set import PREFIX, assert_golden, read_npz

from gdpw.antialias import blur_kernel, downsample
from gdpw.warp import backward_warp

GOLDEN = read_npz("operators")


@pytest.mark.parametrize("case", [name for name in GOLDEN if name.startswith("aa/")])
def test_downsampling_equals_the_published_one(case: str) -> None:
    _, size, scale = case.split("/")
    height, width = map(int, size.split("x"))
    full = picture(f"{PREFIX}aa{size}", 2, height, width, -1, 1)
    (reduced,) = downsample(full, [int(scale[1:])])
    assert_golden(reduced, GOLDEN[case], f"operators/{case}")


@pytest.mark.parametrize("scale", [name.split("x")[-1] for name in GOLDEN if name.startswith("aa_kernel")])
def test_the_kernel_is_the_published_gaussian(scale: str) -> None:
    kernel = blur_kernel(int(scale)).double()
    centre_row = kernel * kernel[len(kernel) // 2]
    torch.testing.assert_close(centre_row.float(), torch.from_numpy(GOLDEN[f"aa_kernel_centre_row/x{scale}"]))


@pytest.mark.parametrize(("number", "case"), list(enumerate(name for name in GOLDEN if name.startswith("warp/"))))
def test_warping_equals_the_published_one(number: int, case: str) -> None:
    height, width = map(int, case.split("/")[1].split("x"))
    feature = picture(f"{PREFIX}warp{number}/feat", 3, height, width, -1, 1)
    flow = picture(f"{PREFIX}warp{number}/flow0", 2, height, width, -0.6, 0.6)
    warped = backward_warp(torch.cat([feature, feature.flip(-1)]), torch.cat([flow, torch.zeros_like(flow)]))
    assert_golden(warped, GOLDEN[case], f"operators/{case}")
