"""Verdicts, features and GAN losses against the published numbers, in evaluation mode."""

from __future__ import annotations

import pytest
import torch
from golden_generator import picture, recipe_discriminator
from golden_set import PREFIX, assert_golden, read_json, read_npz

from gdpw.losses import discriminator_gan_loss, feature_distances, generator_gan_loss

CASES = read_json("discriminator")


@pytest.mark.parametrize("case", CASES)
def test_verdicts_and_losses_equal_the_published_ones(case: str) -> None:
    height, width = map(int, case.split("x"))
    expected, golden, discriminator = CASES[case], read_npz("discriminator"), recipe_discriminator()
    with torch.no_grad():
        (real,), (fake,) = (
            discriminator(picture(f"{PREFIX}disc{case}/{kind}", 3, height, width)) for kind in ("real", "fake")
        )
    for kind, verdict in (("real", real), ("fake", fake)):
        # The tolerance is that of the real logits; the generated ones have the same size and sums.
        assert_golden(verdict.logits, golden[f"{case}/{kind}_logit"], f"discriminator/{case}/real_logit")
    assert list(real.logits.shape) == expected["logit_shape"]
    assert [list(feature.shape) for feature in real.features] == expected["feature_shapes"]
    for feature, stats in zip(real.features, expected["feature_stats"], strict=True):
        f = feature.double()
        found = [f.mean(), f.abs().mean(), f.std(), f.min(), f.max()]
        assert [float(x) for x in found] == pytest.approx(stats, rel=1e-5, abs=1e-5)
    matching = 10 * feature_distances(real.features, fake.features)
    assert matching.tolist() == pytest.approx(expected["feature_matching_x10"], rel=1e-5)
    for gan in ("LS", "Hinge"):
        losses = expected[gan]
        found = discriminator_gan_loss(real.logits, fake.logits, gan.lower())
        assert found.item() == pytest.approx(losses["discriminator_loss"], rel=1e-5)
        assert generator_gan_loss(fake.logits, gan.lower()).item() == pytest.approx(losses["generator_loss"], rel=1e-5)
