"""Keys: any name in, safe bytes in the tar, the same name out."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys import Key, escape, parse_key, track_prefix, unescape

FILE_NAMES = st.binary(min_size=1).map(lambda name: name.decode("utf-8", "surrogateescape"))
NAMES = st.text(min_size=1) | st.text("./#%-_a", min_size=1) | FILE_NAMES


@given(NAMES)
def test_every_name_survives(name: str) -> None:
    assert unescape(escape(name)) == name


@given(NAMES)
def test_an_escaped_name_is_safe_in_a_tar(name: str) -> None:
    assert re.fullmatch(r"(?!-|__)[A-Za-z0-9_%-]+", escape(name))


@given(st.text(min_size=1))
def test_any_url_library_reads_names_back(name: str) -> None:
    assert unquote(escape(name)) == name


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(NAMES, NAMES, NAMES, st.integers(0, 99), st.integers(0, 2_000_000))
def test_a_key_is_parsed_back(identity: str, video: str, clip: str, track: int, frame: int) -> None:
    key = Key(identity, video, clip, track, frame)
    assert parse_key(str(key)) == key
    assert str(key).startswith(track_prefix(identity, video, clip, track))
    assert "." not in str(key)


def test_known_names() -> None:
    assert escape("id10001") == "id10001"
    assert escape("a.b/c#1 100%") == "a%2Eb%2Fc%231%20100%25"
    assert escape("-x_-") == "%2Dx_-"
    assert escape("__meta__") == "%5F_meta__"
    assert escape("名") == "%E5%90%8D"
    assert str(Key("id1", "_v", "00001.mp4", 0, 7)) == "id1/_v/00001%2Emp4/0/000007"


def test_keys_of_a_track_sort_by_frame() -> None:
    keys = [str(Key("a", "b", "c", 0, frame)) for frame in (2, 10, 100)]
    assert keys == sorted(keys)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        escape("")
