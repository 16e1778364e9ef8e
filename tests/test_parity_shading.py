"""Golden numbers of section 13: spherical-harmonics shading."""

from __future__ import annotations

import numpy as np
import torch
from golden_set import read_npz

from fit_deca.shading import FACTORS, shade


def test_factors_are_the_published_ones() -> None:
    np.testing.assert_allclose(FACTORS, read_npz("shading")["constants"], rtol=1e-6)


def test_shading_of_interpolated_normals_is_the_published_one() -> None:
    golden = read_npz("shading")
    assert not golden["normals"][0, 0, 0].any()  # the set holds the normal of an empty pixel
    shaded = shade(torch.from_numpy(golden["normals"]), torch.from_numpy(golden["light"]))
    np.testing.assert_allclose(shaded, golden["shaded"], rtol=0, atol=1e-6 * np.abs(golden["shaded"]).max())
