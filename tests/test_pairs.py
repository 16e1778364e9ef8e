"""The sequence of pairs: a function of seed and position, fair to people, and blind to who is kept from training."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from synthetic_dataset import MadeTrack

from pipeline.errors import PipelineError
from pipeline.ledger import ManifestRow, write_manifest
from pipeline.pairs import Pair, PairSampler
from pipeline.track_index import Column, TrackIndex, read_track_index


def make_index(folder: Path, tracks: list[MadeTrack]) -> TrackIndex:
    """A manifest without shards: nobody here reads a sample."""
    rows = [
        ManifestRow(
            identity=track.identity,
            video=track.video,
            clip=track.clip,
            track=track.track,
            frames=track.frames,
            shard="shard-000000.tar",
            error_median_px=0.5,
            error_p95_px=1.0,
            jitter_px=0.1,
            split=track.split,
            numbers=list(range(track.frames)),
            offsets=list(range(0, 512 * (track.frames + 1), 512)),
        )
        for track in tracks
    ]
    write_manifest(rows, folder)
    return read_track_index(folder)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> TrackIndex:
    """Ten people with 3, 6, ... 30 clips each of 2 to 6 frames, in no order; and one person each for val and test."""
    tracks = [
        MadeTrack(f"person-{person}", f"clip-{clip}", frames=2 + (person + clip) % 5)
        for person in range(10)
        for clip in range(3 * (person + 1))
    ]
    tracks += [MadeTrack("val", f"clip-{clip}", split="val") for clip in range(20)]
    tracks += [MadeTrack("test", f"clip-{clip}", split="test") for clip in range(20)]
    order = np.random.default_rng(0).permutation(len(tracks))
    return make_index(tmp_path_factory.mktemp("uneven"), [tracks[place] for place in order])


def people_of(pairs: list[Pair], index: TrackIndex) -> Counter[str]:
    return Counter(index.identity[pair.track] for pair in pairs)


def test_each_person_comes_up_once_an_epoch(uneven: TrackIndex) -> None:
    sampler = PairSampler(uneven, seed=3)
    assert sampler.people == 10
    for epoch in range(20):
        assert set(people_of(sampler.draw(epoch * 10, 10), uneven).values()) == {1}


def test_people_are_balanced_within_a_tenth_over_any_stretch(uneven: TrackIndex) -> None:
    counts = people_of(PairSampler(uneven, seed=3).draw(12_345, 1_000), uneven)
    assert len(counts) == 10
    assert all(90 <= count <= 110 for count in counts.values())


def test_no_order_of_people_is_that_of_another_epoch(uneven: TrackIndex) -> None:
    pairs = PairSampler(uneven, seed=3).draw(0, 100)
    orders = {tuple(uneven.identity[pair.track] for pair in pairs[epoch * 10 :][:10]) for epoch in range(10)}
    assert len(orders) == 10


def check_nobody_kept_back_is_drawn(index: TrackIndex) -> None:
    drawn = people_of(PairSampler(index, seed=0).draw(0, 2_000), index)
    assert set(drawn) == {f"person-{person}" for person in range(10)}


def test_nobody_of_val_or_test_is_trained_with(uneven: TrackIndex) -> None:
    check_nobody_kept_back_is_drawn(uneven)


def test_a_sampler_blind_to_the_split_would_be_noticed(uneven: TrackIndex) -> None:
    everybody = Column(codes=np.zeros_like(uneven.split.codes), names=pa.array(["train"]))
    with pytest.raises(AssertionError):
        check_nobody_kept_back_is_drawn(replace(uneven, split=everybody))


def test_other_splits_can_be_drawn_from(uneven: TrackIndex) -> None:
    assert set(people_of(PairSampler(uneven, seed=0, split="val").draw(0, 100), uneven)) == {"val"}


def test_a_person_in_two_splits_is_refused(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeTrack("ann", "a"), MadeTrack("ann", "b", split="val"), MadeTrack("bob")])
    with pytest.raises(
        PipelineError, match=r"manifest.parquet: 1 people, the first of them ann, are in the split train"
    ):
        PairSampler(index, seed=0)


def test_a_persons_clips_are_equally_likely_whatever_their_tracks_and_frames(tmp_path: Path) -> None:
    tracks = [MadeTrack("ann", "long", frames=50), MadeTrack("ann", "short", frames=2)]
    tracks += [MadeTrack("ann", "parts", track=track) for track in range(3)]
    index = make_index(tmp_path, tracks)
    pairs = PairSampler(index, seed=1).draw(0, 3_000)
    clips = Counter(index.clip[pair.track] for pair in pairs)
    assert all(900 < clips[clip] < 1_100 for clip in ("long", "short", "parts"))
    assert all(250 < count < 420 for row, count in Counter(pair.track for pair in pairs).items() if row >= 2)


def test_clips_of_two_videos_with_one_name_are_two(tmp_path: Path) -> None:
    tracks = [MadeTrack("ann", "1", video="a"), MadeTrack("ann", "1", video="b"), MadeTrack("ann", "2", video="b")]
    index = make_index(tmp_path, tracks)
    counts = Counter(pair.track for pair in PairSampler(index, seed=1).draw(0, 3_000))
    assert all(900 < counts[row] < 1_100 for row in range(3))


def test_every_pair_of_different_frames_is_equally_likely_in_either_order(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeTrack("ann", frames=3)])
    counts = Counter((pair.source, pair.driving) for pair in PairSampler(index, seed=2).draw(0, 6_000))
    assert set(counts) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    assert all(900 < count < 1_100 for count in counts.values())


def test_a_track_of_one_frame_is_never_drawn(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeTrack("ann", "a", frames=1), MadeTrack("ann", "b"), MadeTrack("bob", frames=1)])
    sampler = PairSampler(index, seed=0)
    assert sampler.people == 1
    assert {pair.track for pair in sampler.draw(0, 100)} == {1}


def test_a_split_without_pairs_is_named(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeTrack("ann", frames=1), MadeTrack("bob", split="val")])
    with pytest.raises(PipelineError, match="no track of two frames or more in the split train"):
        PairSampler(index, seed=0)


def test_pairs_of_a_number_are_the_same_from_any_start(uneven: TrackIndex) -> None:
    whole = PairSampler(uneven, seed=5).draw(0, 200)
    assert [pair.number for pair in whole] == list(range(200))
    for first, count in ((0, 1), (7, 64), (199, 1)):
        assert PairSampler(uneven, seed=5).draw(first, count) == whole[first : first + count]
    far = PairSampler(uneven, seed=5).draw(10**12, 4)
    assert far == PairSampler(uneven, seed=5).draw(10**12 - 3, 7)[3:]


def test_seeds_differ(uneven: TrackIndex) -> None:
    one, other = PairSampler(uneven, seed=0).draw(0, 50), PairSampler(uneven, seed=1).draw(0, 50)
    assert sum(left == right for left, right in zip(one, other, strict=True)) < 5


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_ranks_together_draw_the_same_pairs_however_many_they_are(uneven: TrackIndex, world: int) -> None:
    sampler = PairSampler(uneven, seed=5)
    for step in range(3):
        together = [pair for rank in range(world) for pair in sampler.draw_step(step, 16, rank, world)]
        assert together == sampler.draw(16 * step, 16)


def test_the_sequence_is_the_same_in_every_release(tmp_path: Path) -> None:
    """A checkpoint holds a position in it. numpy promises the bits of Philox; these numbers hold us to the rest."""
    index = make_index(tmp_path, [MadeTrack("ann", f"clip-{clip}", frames=100) for clip in range(10)])
    drawn = [pair[1:] for pair in PairSampler(index, seed=7).draw(1_000_000, 4)]
    assert drawn == [(4, 26, 38), (9, 36, 26), (1, 24, 33), (7, 72, 34)]
