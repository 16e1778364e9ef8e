import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed_dataset import write_filmed_dataset
from numpy.typing import NDArray

from fit_deca.codes import Codes
from fit_deca.head import load_generic_head
from gdpw.checkpoint import Checkpoint, save_checkpoint
from gdpw.config import GeneratorConfig
from gdpw.generator import Generator
from gdpw.mesh_warp import MeshWarp
from pipeline.contestants import ContestantConfig, load_contestant, named_contestant
from pipeline.crop import Window, cut_window
from pipeline.dataset import open_dataset
from pipeline.encode import EncodeConfig, write_video
from pipeline.errors import PipelineError
from pipeline.evaluation import STRIPS, Assignment, Evaluate, EvaluationConfig, Outcome, likeness, motion
from pipeline.evaluation_plan import EvaluationJob, Setting, plan_jobs, track_name
from pipeline.evaluation_strip import read_strip, strip_path
from pipeline.fit import FitConfig, FitTrack
from pipeline.metrics import PSNR_CAP
from pipeline.models import ModelConfig
from pipeline.observer import Observer, Seen
from pipeline.performance import Performance
from pipeline.render import Animate, Take
from pipeline.shards import FaceModelStamp

_STAMP = FaceModelStamp(name="any", hash="any")
ANN, BOB = "ann/video/clip/0", "bob/video/clip/0"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, carphone: Path) -> Path:
    return write_filmed_dataset(tmp_path_factory.mktemp("filmed") / "dataset", carphone)


@pytest.fixture(scope="module")
def observer() -> Iterator[Observer]:
    with Observer(FitConfig()) as observer:
        yield observer


@pytest.fixture(scope="module")
def take(dataset: Path) -> Take:
    opened = open_dataset(dataset)
    row = opened.tracks[0]
    return Take.of_samples([opened.read_sample(row, i) for i in range(row.frames)])


@pytest.fixture(scope="module")
def truth(observer: Observer, take: Take) -> Seen:
    return observer(take.images, take.times, take.codes.shape[0])


def _evaluated(dataset: Path, out: Path, contestant: ContestantConfig) -> dict[Setting, Outcome]:
    rows = {track_name(row): row for row in open_dataset(dataset).tracks}
    jobs = [job for job in plan_jobs(list(rows.values()), "test") if job.driving == ANN]
    evaluate = Evaluate(EvaluationConfig(dataset=dataset, contestant=contestant, out=out))
    try:
        return {one.setting: one for one in evaluate(Assignment(jobs=jobs, rows=rows))}
    finally:
        evaluate.close()


@pytest.fixture(scope="module")
def copied(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Setting, Outcome]:
    return _evaluated(
        dataset, tmp_path_factory.mktemp("copied"), ContestantConfig(kind="copy-source", label="copy-source")
    )


@pytest.fixture(scope="module")
def moved_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("moved")


@pytest.fixture(scope="module")
def moved(dataset: Path, moved_folder: Path) -> dict[Setting, Outcome]:
    return _evaluated(dataset, moved_folder, ContestantConfig(kind="mesh-warp", label="mesh-warp"))


def _all(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.ones(len(images), bool)


def _akd(result: Seen, truth: Seen) -> float:
    akd = motion(result, truth, np.arange(len(truth.images)), _all(truth.images), same_face=True)["akd"]
    assert akd is not None
    return akd


def test_a_driver_copied_is_perfect(observer: Observer, take: Take, truth: Seen) -> None:
    again = observer(take.images, take.times, take.codes.shape[0])
    pixels, motions = (
        likeness(again, truth, _all(take.images)),
        motion(again, truth, np.arange(len(take.images)), _all(take.images), same_face=True),
    )
    assert pixels["l1"] == pixels["l1_face"] == 0
    assert pixels["psnr"] == PSNR_CAP
    assert pixels["ssim"] == pytest.approx(1, abs=1e-9)
    assert motions == pytest.approx(
        {"missing": 0, "akd": 0, "expression": 0, "pose": 0, "jaw": 0, "jitter": 1}, abs=1e-4
    )


def test_a_source_that_drives_itself_is_a_perfect_copy(observer: Observer, take: Take) -> None:
    still = np.repeat(take.images[:1], 4, axis=0)
    seen = [observer(still, take.times[:4], take.codes.shape[0]) for _ in range(2)]
    assert likeness(*seen, _all(still))["l1"] == 0
    assert _akd(*seen) == 0


def test_a_shift_by_one_frame_worsens_akd_by_half_a_pixel(truth: Seen) -> None:
    rows = np.arange(len(truth.images))
    later = _rows(truth, (rows + 1).clip(max=len(rows) - 1))
    assert _akd(truth, truth) == 0
    assert _akd(later, truth) > 0.5


def test_akd_tells_who_drives_whom(observer: Observer, take: Take, truth: Seen) -> None:
    """The first frame as the last one moves, and the other way round, each judged by both: the wrong one is far off."""
    warp = Animate(observer.fit_track.flame, MeshWarp(observer.fit_track.flame.faces))
    pair = [0, int(np.linalg.norm(truth.points - truth.points[0], axis=-1).mean(1).argmax())]
    performance = Performance(
        times=take.times, codes=take.codes, recover=take.recover, size=take.size, face_model=_STAMP
    )
    for source, driving in (pair, pair[::-1]):
        moved = np.stack(list(warp(_one(take, source), performance.rows(np.array([driving])))))
        result = observer(moved, take.times[:1], take.codes.shape[0])
        right, swapped = (_akd(result, _rows(truth, np.array([frame]))) for frame in (driving, source))
        assert swapped > 2 * right
        assert swapped > right + 1.5


def test_a_face_that_is_lost_is_missing_and_else_ignored(truth: Seen) -> None:
    found = truth.found.copy()
    found[:2] = False
    lost = replace(truth, found=found, landmarks=np.where(found[:, None, None], truth.landmarks, np.nan))
    values = motion(lost, truth, np.arange(len(found)), _all(truth.images), same_face=True)
    assert values["missing"] == pytest.approx(2 / len(found))
    assert values["akd"] == 0
    gone = motion(replace(truth, found=np.zeros_like(found)), truth, np.arange(len(found)), found, same_face=True)
    assert gone == {"missing": 1.0}


def test_pictures_without_a_face_are_seen_as_such(observer: Observer, take: Take) -> None:
    assert not observer(np.zeros_like(take.images), take.times, take.codes.shape[0]).found.any()


def test_mesh_warp_moves_nearer_to_the_driver_than_a_copy(
    copied: dict[Setting, Outcome], moved: dict[Setting, Outcome]
) -> None:
    for setting in (Setting.FIRST, Setting.FAR):
        ours, theirs = moved[setting].values, copied[setting].values
        assert _known(ours, "akd") < 0.6 * _known(theirs, "akd")
        assert _known(ours, "pose") < _known(theirs, "pose")
    assert _known(moved[Setting.CROSS].values, "pose") < _known(copied[Setting.CROSS].values, "pose")


def test_a_strip_shows_source_driver_result_and_where_there_is_a_truth_the_error(
    moved_folder: Path, moved: dict[Setting, Outcome]
) -> None:
    strips = moved_folder / STRIPS / "mesh-warp"
    pictures = {setting: read_strip(strip_path(strips, one.name)) for setting, one in moved.items()}
    assert {setting: len(some) for setting, some in pictures.items()} == {
        Setting.FIRST: 4,
        Setting.FAR: 4,
        Setting.CROSS: 3,
    }
    assert pictures[Setting.CROSS][0].shape == (128, 128, 3)


def test_only_motion_is_compared_with_another_person(copied: dict[Setting, Outcome]) -> None:
    values = copied[Setting.CROSS].values
    assert copied[Setting.CROSS].source == BOB
    assert {name for name, value in values.items() if value is not None} == {
        *("expression", "jaw", "pose", "missing", "jitter")
    }


def test_the_sources_own_frame_is_not_compared(copied: dict[Setting, Outcome], take: Take) -> None:
    assert copied[Setting.FIRST].source_frame == 0
    assert copied[Setting.FIRST].frames == len(take.images) - 1
    assert _known(copied[Setting.FIRST].values, "psnr") < PSNR_CAP


def test_the_far_source_is_farther_from_the_driver_than_the_first(copied: dict[Setting, Outcome]) -> None:
    assert _known(copied[Setting.FAR].values, "pose") >= _known(copied[Setting.FIRST].values, "pose")


def test_videos_of_others_are_judged_like_a_model(dataset: Path, tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "theirs"
    job = EvaluationJob(setting=Setting.FIRST, source=ANN, driving=ANN)
    path = folder / f"{job.name}.mp4"
    path.parent.mkdir(parents=True)
    write_video(path, iter(take.images), 25, config=EncodeConfig(encoder="libx264"))
    outcomes = _evaluated(dataset, tmp_path / "out", ContestantConfig(kind="videos", label="theirs", path=folder))
    assert _known(outcomes[Setting.FIRST].values, "akd") < 1.5
    assert _known(outcomes[Setting.FIRST].values, "ssim") > 0.9
    assert "no such video" in outcomes[Setting.FAR].fault


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, as `train` leaves it, of pictures of 64 x 64; its generator is untrained."""
    torch.manual_seed(3)
    head, folder = load_generic_head(), tmp_path_factory.mktemp("runs") / "small"
    config = GeneratorConfig.small("geom_disp", vertices=len(head.v_template))
    generator = Generator(config, torch.from_numpy(head.faces)).state_dict()
    folder.mkdir()
    save_checkpoint(
        folder / "generator.pth",
        Checkpoint(name="made here", config=config, generator=generator, face_model=head.hash),
    )
    (folder / "config.yaml").write_text("pairs:\n  size: 64\n")
    return folder


def test_a_trained_model_works_at_the_size_it_was_trained_with(dataset: Path, trained: Path, take: Take) -> None:
    config = named_contestant(f"mine={trained}", [], ModelConfig(device="cpu"))
    assert (config.label, config.size) == ("mine", 64)
    fit_track = FitTrack(FitConfig(fitter="landmarks"))
    performance = Performance(
        times=take.times[:2],
        codes=Codes(*(code[:2] for code in take.codes)),
        recover=take.recover[:2],
        size=take.size,
        face_model=_STAMP,
    )
    job = EvaluationJob(setting=Setting.FIRST, source=ANN, driving=ANN)
    contestants = [
        load_contestant(one, fit_track.flame, fit_track.face_model) for one in (config, replace(config, size=None))
    ]
    small, large = (np.stack(list(one(job, _one(take, 0), performance))) for one in contestants)
    assert small.shape == large.shape == (2, 128, 128, 3)
    halved = _one(take, 0).resized(64)
    expected = np.stack(list(contestants[1](job, halved, performance)))
    enlarged = np.stack([cut_window(image, Window(0, 0, 64), 128) for image in expected])
    assert np.array_equal(small, enlarged)
    assert not np.array_equal(small, large)


def test_a_run_is_called_by_its_folder_and_its_weights(trained: Path) -> None:
    config = named_contestant(str(trained), [], ModelConfig())
    assert config.label == f"small ({config.digest[:8]})"
    assert config.path == trained / "generator.pth"


def test_settings_that_are_none_and_names_that_lead_elsewhere_are_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "generator.pth", tmp_path)
    (tmp_path / "config.yaml").write_text("pairs: [")
    with pytest.raises(PipelineError, match=r"config.yaml: no settings of a training run"):
        named_contestant(str(tmp_path), [], ModelConfig())
    with pytest.raises(PipelineError, match="no name for a model"):
        named_contestant("../mine=mesh-warp", [], ModelConfig())


def test_a_video_with_other_frames_than_the_driver_is_refused(dataset: Path, tmp_path: Path, take: Take) -> None:
    job = EvaluationJob(setting=Setting.FIRST, source=ANN, driving=ANN)
    path = tmp_path / f"{job.name}.mp4"
    path.parent.mkdir(parents=True)
    write_video(path, iter(take.images[:5]), 25, config=EncodeConfig(encoder="libx264"))
    outcomes = _evaluated(dataset, tmp_path / "out", ContestantConfig(kind="videos", label="theirs", path=tmp_path))
    assert "5 frames for the driver's 8" in outcomes[Setting.FIRST].fault


def test_a_dataset_of_codes_alone_moves_the_same(carphone: Path, tmp_path: Path, moved: dict[Setting, Outcome]) -> None:
    lean = write_filmed_dataset(tmp_path / "lean", carphone, store=("codes",))
    again = _evaluated(lean, tmp_path / "out", ContestantConfig(kind="mesh-warp", label="mesh-warp"))
    for setting, name in ((Setting.FIRST, "akd"), (Setting.FAR, "psnr"), (Setting.CROSS, "pose")):
        assert _known(again[setting].values, name) == pytest.approx(_known(moved[setting].values, name), rel=0.02)


def test_a_dataset_without_codes_is_refused(carphone: Path, tmp_path: Path) -> None:
    bare = write_filmed_dataset(tmp_path / "bare", carphone, frames=5, store=("vertices",))
    config = EvaluationConfig(
        dataset=bare, contestant=ContestantConfig(kind="copy-source", label="copy-source"), out=tmp_path / "out"
    )
    with pytest.raises(PipelineError, match="stored without codes"):
        Evaluate(config)


def _known(values: dict[str, float | None], name: str) -> float:
    value = values[name]
    assert value is not None
    return value


def _one(take: Take, frame: int) -> Take:
    rows = slice(frame, frame + 1)
    return Take(
        times=take.times[rows],
        images=take.images[rows],
        codes=Codes(*(code[rows] for code in take.codes)),
        recover=take.recover[rows],
        vertices=take.vertices[rows],
    )


def _rows(seen: Seen, rows: NDArray[np.int64]) -> Seen:
    return Seen(
        images=seen.images[rows],
        found=seen.found[rows],
        landmarks=seen.landmarks[rows],
        expression=seen.expression[rows],
        pose=seen.pose[rows],
    )
