"""Networks on results that are known, with random weights by the published names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gdpw.inception import Inception
from gdpw.lpips import CHANNELS, Lpips
from pipeline.evaluation import TRUTH, Outcome, features_path
from pipeline.evaluation_networks import Networks, available
from pipeline.evaluation_plan import Setting
from pipeline.evaluation_results import Table
from pipeline.frechet import frechet_distance
from pipeline.observer import Seen

SIZE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the environment variable that names each file."""
    folder, rng = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)

    def written(name: str, state: dict[str, Tensor]) -> Path:
        torch.save(state, folder / name)
        return folder / name

    def drawn(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=rng) * (2 / value[0].numel()) ** 0.5 if value.dim() == 4 else value

    convolutions = {key: drawn(value) for key, value in Lpips().state_dict().items() if key.startswith("features.")}
    heads = {f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1, generator=rng) for i, n in enumerate(CHANNELS)}
    inception = {key: drawn(value) for key, value in Inception().state_dict().items() if "num_batches" not in key}
    return {
        "GDPW_ASSET_ALEXNET": written("alexnet.pth", convolutions),
        "GDPW_ASSET_LPIPS_ALEX": written("alex.pth", heads),
        "GDPW_ASSET_INCEPTION": written("inception.pth", inception),
    }


@pytest.fixture
def _at_hand(weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in weights.items():
        monkeypatch.setenv(name, str(path))


def _seen(images: np.ndarray) -> Seen:
    """A face in the left half of each picture."""
    count = len(images)
    landmarks = np.zeros((count, 478, 2), np.float32)
    landmarks[:, ::2] = [2, 2]
    landmarks[:, 1::2] = [SIZE / 2 - 2, SIZE - 2]
    landmarks[:, 2] = [2, SIZE - 2]
    return Seen(
        images=images,
        found=np.ones(count, bool),
        landmarks=landmarks,
        expression=np.zeros((count, 50)),
        pose=np.zeros((count, 6)),
    )


def test_what_is_not_here_is_not_run_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = available(wanted=True)
    assert not {"lpips", "fid"} & found.weights.keys()
    assert "'gdpw-pipe assets fetch alexnet'" in found.not_run["lpips"]
    assert "'gdpw-pipe assets fetch inception'" in found.not_run["fid"]
    assert set(available(wanted=False).not_run) >= {"st_lpips", "st_lpips_face", "lpips", "lpips_face", "csim", "fid"}


@pytest.mark.usefixtures("_at_hand")
def test_files_that_assets_finds_are_run_and_told_by_their_content() -> None:
    found = available(wanted=True)
    assert {"lpips", "fid"} <= found.weights.keys()
    assert "lpips" not in found.not_run
    assert found.weights == available(wanted=True).weights


@pytest.mark.usefixtures("_at_hand")
def test_lpips_sees_the_frames_that_count_and_within_the_face_the_face_alone() -> None:
    rng = np.random.default_rng(0)
    truth = _seen(rng.integers(0, 255, (4, SIZE, SIZE, 3), np.uint8))
    images = truth.images.copy()
    images[1:, :, SIZE // 2 :] = 255 - images[1:, :, SIZE // 2 :]
    images[0] = 0
    compared = np.array([False, True, True, True])
    values = Networks(("lpips",), step=2).distances(_seen(images), truth, compared)
    assert values.keys() == {"lpips", "lpips_face"}
    assert values["lpips_face"] == 0
    network = Networks(("lpips",), step=1)
    pairs = [network.distances(_seen(images[i : i + 1]), _seen(truth.images[i : i + 1]), compared[1:2]) for i in (1, 3)]
    assert values["lpips"] == pytest.approx(np.mean([pair["lpips"] for pair in pairs]))
    assert min(pair["lpips"] or 0 for pair in pairs) > 0.01


def test_no_network_says_nothing() -> None:
    seen, compared = _seen(np.zeros((2, SIZE, SIZE, 3), np.uint8)), np.ones(2, bool)
    networks = Networks((), step=0)
    assert networks.distances(seen, seen, compared) == networks.likeness(seen, seen, compared) == {}
    assert networks.features(seen.images, compared) is None


@pytest.mark.usefixtures("_at_hand")
def test_fid_is_of_all_results_of_a_setting_beside_all_drivers(tmp_path: Path) -> None:
    networks = Networks(("fid",), step=1)
    rng = np.random.default_rng(1)
    kept = {}
    for whose, name, count in ((TRUTH, "ann", 2), (TRUTH, "bob", 3), ("ours", "self-first/ann", 2)):
        features = networks.features(rng.integers(0, 255, (count, SIZE, SIZE, 3), np.uint8), np.ones(count, bool))
        assert features is not None
        assert features.shape == (count, 2048)
        kept[name] = features
        path = features_path(tmp_path, whose, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, features)
    outcomes = [
        Outcome(name="self-first/ann", setting=Setting.FIRST, source="ann", driving="ann"),
        Outcome(name="self-first/bob", setting=Setting.FIRST, source="bob", driving="bob", fault="no such video"),
        Outcome(name="self-far/ann", setting=Setting.FAR, source="ann", driving="ann"),
    ]
    table = Table(outcomes={"ours": outcomes}, seed=0, not_run={}, size=SIZE, out=tmp_path)
    fid = table.fid("ours", Setting.FIRST)
    assert fid is not None
    assert fid.frames == 2
    assert fid.value == pytest.approx(frechet_distance(kept["self-first/ann"], kept["ann"]))
    assert table.fid("ours", Setting.CROSS) is None
