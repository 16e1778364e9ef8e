"""Settings by name: what is taken, and what is refused with a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.outputs import MisuseError
from jobs.recipe import Recipe
from jobs.settings import as_yaml, change, parse_assignments, read_settings

RECIPE = Recipe.preset("tiny", "both")


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("learning_rate.base=2e-4", ("learning_rate", "base"), 2e-4),
        ("losses.pixel=3", ("losses", "pixel"), 3.0),
        ("step.precision=bfloat16", ("step", "precision"), "bfloat16"),
        ("discriminator.scales=[1, 2]", ("discriminator", "scales"), (1, 2)),
        ("decay=null", ("decay",), None),
        ("generator.alpha_blend=true", ("generator", "alpha_blend"), True),
    ],
)
def test_an_assignment_changes_one_setting(assignment: str, path: tuple[str, ...], value: object) -> None:
    changed = change(RECIPE, parse_assignments([assignment]))
    found = changed
    for name in path:
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)
    assert change(changed, change_back(path)) == RECIPE


def change_back(path: tuple[str, ...]) -> dict:
    value = RECIPE
    for name in path:
        value = getattr(value, name)
    for name in reversed(path):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rate.bse=1", "there is no setting learning_rate.bse; the nearest is base"),
        ("loses.pixel=1", "there is no setting loses; the nearest is losses"),
        ("steps=1.5", "steps must be int, got 1.5"),
        ("steps=true", "steps must be int, got True"),
        ("losses.pixel=-1", "losses: pixel must be >= 0"),
        ("perceptual=vgg", "perceptual must be one of vgg19, vgg16-st, none, got 'vgg'"),
        ("losses=3", "losses must be LossWeights, got 3"),
        ("steps", "write name=value"),
        ("steps.a=1", "there is no setting|steps must be int"),
    ],
)
def test_what_is_no_setting_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        change(RECIPE, parse_assignments([assignment]))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(as_yaml(RECIPE.tree()))
    assert change(Recipe.preset("paper", "geom_disp"), read_settings(tmp_path / "config.yaml")) == RECIPE


def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path) -> None:
    for text in ("- a list", "a: [", "plain"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(MisuseError, match=r"bad\.yaml: "):
            read_settings(tmp_path / "bad.yaml")
