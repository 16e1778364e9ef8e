"""Downloads: taken up where they ended, and every refusal one line without a secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from publisher import Publisher, open_publisher

from pipeline.download import download
from pipeline.errors import PipelineError

CONTENT = bytes(range(256)) * 40
FORM = {"username": "a+b@c.org", "password": "s&cr=t %"}


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with open_publisher() as publisher:
        publisher.files["/file"] = CONTENT
        yield publisher


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def ignore(done: int, total: int | None) -> None:
    pass


def refused(url: str, part: Path, form: dict[str, str] | None = None) -> str:
    """The one line that a refused download ends with."""
    with pytest.raises(PipelineError) as error:
        download(url, part, ignore, form)
    assert "\n" not in str(error.value)
    return str(error.value)


def ranges(publisher: Publisher) -> list[str | None]:
    return [asked.range for asked in publisher.asked]


def test_a_file_arrives_and_its_progress_is_told(publisher: Publisher, part: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    download(f"{publisher.url}/file", part, lambda done, total: steps.append((done, total)))
    assert part.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_is_taken_up_where_it_ended(publisher: Publisher, part: Path) -> None:
    publisher.cuts = [1000, 500]
    download(f"{publisher.url}/file", part, ignore)
    assert part.read_bytes() == CONTENT
    assert ranges(publisher) == [None, "bytes=1000-", "bytes=1500-"]


def test_a_connection_that_brings_nothing_ends_the_call_and_the_next_call_goes_on(
    publisher: Publisher, part: Path
) -> None:
    publisher.cuts = [1000, 0]
    assert "1,000 bytes are kept, fetch it again" in refused(f"{publisher.url}/file", part)
    assert part.read_bytes() == CONTENT[:1000]
    steps: list[int] = []
    download(f"{publisher.url}/file", part, lambda done, total: steps.append(done))
    assert part.read_bytes() == CONTENT
    assert min(steps) > 1000
    assert ranges(publisher)[-1] == "bytes=1000-"


def test_a_server_without_ranges_starts_anew(publisher: Publisher, part: Path) -> None:
    publisher.ranges = False
    part.write_bytes(b"x" * 1000)
    download(f"{publisher.url}/file", part, ignore)
    assert part.read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_breaks_off_ends_the_call(publisher: Publisher, part: Path) -> None:
    publisher.ranges, publisher.cuts = False, [1000] * 10
    assert "connection failed" in refused(f"{publisher.url}/file", part)
    assert len(publisher.asked) == 2


def test_a_whole_part_is_left_as_it_is(publisher: Publisher, part: Path) -> None:
    part.write_bytes(CONTENT)
    download(f"{publisher.url}/file", part, ignore)
    assert part.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_deleted(publisher: Publisher, part: Path) -> None:
    part.write_bytes(CONTENT * 2)
    assert "another file than the one begun" in refused(f"{publisher.url}/file", part)
    assert not part.exists()


def test_another_range_than_asked_is_refused(publisher: Publisher, part: Path) -> None:
    publisher.wrong_range = True
    part.write_bytes(CONTENT[:1000])
    assert "another part of the file" in refused(f"{publisher.url}/file", part)
    assert part.read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_page_instead_of_the_file_is_refused_and_the_part_stays(
    publisher: Publisher, part: Path, media_type: str
) -> None:
    publisher.files["/file"], publisher.media_type = b" <!doctype HTML><p>Too many users", media_type
    publisher.ranges = False
    part.write_bytes(CONTENT[:1000])
    assert "answered with a web page instead of the file" in refused(f"{publisher.url}/file", part)
    assert part.read_bytes() == CONTENT[:1000]


def test_the_login_is_posted_as_a_form(publisher: Publisher, part: Path) -> None:
    publisher.login, publisher.cuts = FORM, [1000]
    download(f"{publisher.url}/file", part, ignore, FORM)
    assert part.read_bytes() == CONTENT
    assert [(asked.method, asked.form) for asked in publisher.asked] == [("POST", FORM)] * 2


@pytest.mark.parametrize("refusal", [200, 401, 403])
def test_a_wrong_password_is_told_without_telling_it(publisher: Publisher, part: Path, refusal: int) -> None:
    publisher.login, publisher.refusal = FORM, refusal
    wrong = FORM | {"password": "guess-0451"}
    message = refused(f"{publisher.url}/file", part, wrong)
    assert "refused the login: check user name and password" in message
    assert "guess" not in message
    assert not part.exists()


def test_a_redirection_does_not_take_the_login_along(publisher: Publisher, part: Path) -> None:
    publisher.redirects["/moved"] = f"{publisher.url}/file"
    download(f"{publisher.url}/moved", part, ignore, FORM)
    assert [(asked.method, asked.form) for asked in publisher.asked] == [("POST", FORM), ("GET", {})]


def test_a_missing_file_is_told_with_its_status(publisher: Publisher, part: Path) -> None:
    assert "HTTP 404" in refused(f"{publisher.url}/gone", part)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/file", "a login goes over https:// only"),
        ("https://me:guess-0451@example.org/file", "must not hold a user name or password"),
        ("file:///etc/passwd", "neither https:// nor http://"),
        ("nonsense", "neither https:// nor http://"),
    ],
)
def test_an_address_that_is_unsafe_is_not_asked(part: Path, url: str, message: str) -> None:
    told = refused(url, part, FORM)
    assert message in told
    assert "guess" not in told


def test_a_server_that_is_not_there_is_told(publisher: Publisher, part: Path) -> None:
    assert "connection failed (" in refused("http://127.0.0.1:9/file", part)


def test_a_folder_that_cannot_be_written_is_told(publisher: Publisher, tmp_path: Path) -> None:
    part = tmp_path / "gone" / "file.part"
    assert f"{part}: cannot be written" in refused(f"{publisher.url}/file", part)
