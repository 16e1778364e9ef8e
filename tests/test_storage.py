"""Paths on a real S3 server: what they are, what is read and written there, and what is refused."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from outputs import put
from s3_server import BUCKET, SECRET, Server, running_server

from jobs.cli import cli
from pipeline import storage
from pipeline.atomic import atomic_path, sweep
from pipeline.errors import InputError, PipelineError
from pipeline.input_list import read_list
from pipeline.pictures import read_picture
from pipeline.pieces import Pieces
from pipeline.records import Kind
from pipeline.storage import check, join, locate, read_range, remove_tree, tree, walk
from pipeline.video import read_frames


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    """A place of the test's own on the server."""
    return locate(f"s3://{BUCKET}/{request.node.name}")


@contextmanager
def counted(path: Path) -> Iterator[list[str]]:
    """The requests that the server gets in the block."""
    store, calls = path.fs, []  # type: ignore[attr-defined]
    really_call = store._call_s3

    async def call(method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        return await really_call(method, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_call_s3", call)
        yield calls


@pytest.mark.parametrize("text", ["clip.mp4", "/data/a b.mp4", "id10001#video#000001#000020.mp4"])
def test_a_name_is_a_path_of_this_machine(text: str) -> None:
    assert locate(text) == Path(text)


def test_a_file_url_is_a_path_of_this_machine() -> None:
    assert locate("file:///data/a%20b.mp4") == Path("/data/a b.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hidden@bucket/clips",
        "s3://bucket/clip.mp4?X-Amz-Signature=hidden",
        "gs://hidden@bucket/clips",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PipelineError, match="do not belong in a URL") as fault:
        locate(url)
    assert "hidden" not in str(fault.value)


@pytest.mark.parametrize(
    ("url", "why"), [("ftp://host/clips", "there are s3://, gs://"), ("s3:///clips", "names no bucket")]
)
def test_a_url_of_no_store_is_refused(url: str, why: str) -> None:
    with pytest.raises(PipelineError, match=why):
        locate(url)


@pytest.mark.parametrize(("url", "library"), [("s3://bucket/a", "s3fs"), ("gs://bucket/a", "gcsfs")])
def test_a_missing_library_is_named(url: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.s3", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PipelineError, match=rf"needs {library}.*gdpw-pipe\[cloud\]"):
        locate(url)


def test_paths_of_a_list_are_below_its_folder_or_urls() -> None:
    there, here = locate("s3://bucket/lists"), Path("/lists")
    assert join(there, "../a#1/b.mp4") == "s3://bucket/a#1/b.mp4"
    assert join(there, "set::ann/video/clip") == "s3://bucket/lists/set::ann/video/clip"
    assert join(here, "a/b.mp4") == "/lists/a/b.mp4"
    assert join(here, "s3://bucket/b.mp4") == "s3://bucket/b.mp4"
    assert join(there, "/data/b.mp4") == "/data/b.mp4"


def test_a_file_comes_back_as_it_was_written(folder: Path) -> None:
    data = os.urandom(3000)
    path = put(folder / "id#1 名" / "a b%.tar", data)
    assert path.read_bytes() == data
    assert read_range(path, 1000, 1010) == data[1000:1010]
    with pytest.raises(ValueError, match="ends 5 bytes too early"):
        read_range(path, 2990, 3005)


def test_a_large_file_is_sent_in_parts_and_known_by_the_hash_of_their_hashes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1 << 20) * 40

    def read_back(*_: object) -> None:
        raise AssertionError("its hash was known")

    monkeypatch.setattr(hashlib, "file_digest", read_back)
    path = put(folder / "shard.tar", data)
    assert path.read_bytes() == data


def test_an_error_leaves_nothing_behind(folder: Path) -> None:
    with pytest.raises(KeyError), atomic_path(folder / "a.tar") as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        assert partial.suffix == ".tar"
        raise KeyError
    assert not partial.exists()
    assert not (folder / "a.tar").exists()
    sweep(folder)


class Tampered:
    """What sends files, and tampers with the first few. harm: what it makes of their bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, harm: Any) -> None:
        from pipeline.s3 import S3

        self.sent, self._times, self._harm = 0, times, harm
        really_send = S3.put_file

        def send(store: Any, file: str, key: str, **options: Any) -> None:
            self.sent += 1
            if self.sent <= self._times:
                Path(file + ".harmed").write_bytes(self._harm(Path(file).read_bytes()))
                file += ".harmed"
            really_send(store, file, key, **options)

        monkeypatch.setattr(storage, "_send", send)


@pytest.mark.parametrize("harm", [lambda data: data[:-7], lambda data: data[:-1] + b"!"], ids=["cut", "changed"])
def test_an_upload_that_arrives_otherwise_is_sent_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, harm: Any
) -> None:
    tampered = Tampered(monkeypatch, 1, harm)
    assert put(folder / "a", b"0123456789").read_bytes() == b"0123456789"
    assert tampered.sent == 2


def test_an_upload_that_always_arrives_cut_short_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tampered(monkeypatch, 9, lambda data: data[:-7])
    with pytest.raises(PipelineError, match=r"/a: cannot be written \(3 of 10 bytes arrived, 3 times\)"):
        put(folder / "a", b"0123456789")


def test_where_a_store_states_no_hash_the_file_is_read_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_md5_names", lambda file: ["not that of the store"])
    put(folder / "a", b"0123456789")
    Tampered(monkeypatch, 9, lambda data: data[::-1])
    with pytest.raises(PipelineError, match="other bytes arrived"):
        put(folder / "b", b"0123456789")


def test_a_tree_is_walked_as_a_folder_is(folder: Path, tmp_path: Path) -> None:
    for root in (folder, tmp_path):
        for name in ("b/c/1.mp4", "b/2.mp4", "3.mp4", "a/4.txt"):
            put(root / name, b"")
    found, wanted = (
        [(place.path.removeprefix(str(root)), sorted(place.folders), sorted(place.files)) for place in walk(root)]
        for root in (folder, tmp_path)
    )
    assert sorted(found) == sorted(wanted)
    assert found[0] == ("", ["a", "b"], ["3.mp4"])
    assert sorted(str(path) for path in tree(folder / "b")) == [f"{folder}/b/2.mp4", f"{folder}/b/c/1.mp4"]
    remove_tree(folder / "b")
    assert not (folder / "b").exists()
    assert (folder / "3.mp4").exists()


def test_pieces_are_read_with_one_listing(folder: Path) -> None:
    pieces = Pieces(folder)
    pieces.begin({"size": 256})
    for number in range(30):
        pieces.write(f"clip {number}", number)
    with counted(folder) as calls:
        assert dict(Pieces(folder).read_all()) == {f"clip {number}": number for number in range(30)}
    assert calls.count("get_object") == 30
    assert len(calls) <= 36


def test_a_list_on_the_server_is_checked_by_one_listing(folder: Path) -> None:
    names = [f"clips/{number}.mp4" for number in range(20)]
    for name in names:
        put(folder / name, b"")
    put(folder / "clips" / "frames.mp4" / "1.png", b"")
    rows = "\n".join(["path", *names, "clips/frames.mp4", "clips/missing.mp4"])
    path = put(folder / "list.csv", rows.encode())
    with counted(folder) as calls:
        listed = read_list(path)
    assert [clip.path for clip in listed.clips] == [f"{folder}/{name}" for name in [*names, "clips/frames.mp4"]]
    assert [clip.kind for clip in listed.clips][-2:] == [Kind.VIDEO, Kind.FRAMES]
    assert [fault.problem for fault in listed.faults] == [f"{folder}/clips/missing.mp4 is not there"]
    assert len(calls) < 15


def test_a_path_opens_again_in_another_process_with_its_environment(folder: Path) -> None:
    path = put(folder / "a", b"content")
    pickled = pickle.dumps(path)
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled) == path
    read = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer).read_bytes())"
    assert subprocess.run([sys.executable, "-c", read], input=pickled, capture_output=True).stdout == b"content"


def test_a_video_is_decoded_from_a_copy_that_nothing_is_left_of(
    folder: Path, excerpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = put(folder / "clip.mp4", excerpt.read_bytes())
    there, here = ([frame.image.tobytes() for frame in read_frames(video)] for video in (str(path), excerpt))
    assert there == here
    assert not list(tmp_path.iterdir())


def test_a_picture_is_read_as_it_lies(folder: Path, astronaut: Path) -> None:
    path = put(folder / "a.png", astronaut.read_bytes())
    assert (read_picture(str(path)) == read_picture(astronaut)).all()


def test_damage_names_the_url(folder: Path) -> None:
    path = put(folder / "a.mp4", bytes(1000))
    with pytest.raises(InputError, match=rf"^{path}: cannot be read as a video"):
        next(read_frames(str(path)))


def test_what_is_not_there_is_one_line(folder: Path) -> None:
    with pytest.raises(PipelineError, match=r"^s3://no-such-bucket/a: no such bucket$"):
        check(locate("s3://no-such-bucket/a"))
    with pytest.raises(PipelineError, match=r": no such file or folder$"):
        check(folder)
    with pytest.raises(PipelineError, match=r"^s3://no-such-bucket/a: cannot be written"):
        put(locate("s3://no-such-bucket/a"), b"")


def test_wrong_credentials_are_one_line_without_them(server: Server, folder: Path) -> None:
    path = put(folder / "a", b"")
    with server.refusing_strangers():
        for attempt in (lambda: check(path), lambda: put(path, b"other")):
            with pytest.raises(PipelineError, match=rf"^{path}: cannot be ") as fault:
                attempt()
            assert SECRET not in str(fault.value)
            assert "\n" not in str(fault.value)
    assert path.read_bytes() == b""


def test_a_command_says_in_one_line_what_is_wrong_with_a_url(server: Server, folder: Path) -> None:
    put(folder / "file", b"")
    with pytest.raises(PipelineError, match=r"^s3://no-such-bucket/set: no such bucket$"):
        cli.main(["status", "s3://no-such-bucket/set"], standalone_mode=False)
    with pytest.raises(PipelineError, match=r": no run of preprocess or render has begun here$"):
        cli.main(["status", str(folder)], standalone_mode=False)
    with pytest.raises(click.UsageError, match=r"/file is a file\."):
        cli.main(["status", str(folder / "file")], standalone_mode=False)
    with pytest.raises(click.UsageError, match="do not belong in a URL") as fault:
        cli.main(["status", "s3://key:hidden@bucket/set"], standalone_mode=False)
    assert "hidden" not in fault.value.format_message()


def test_a_server_that_is_away_for_a_while_is_waited_for(server: Server, folder: Path) -> None:
    server.door.shut()
    timer = threading.Timer(3, server.door.open)
    timer.start()
    start = time.monotonic()
    assert put(folder / "a", b"content").read_bytes() == b"content"
    assert time.monotonic() - start > 2
    timer.join()
