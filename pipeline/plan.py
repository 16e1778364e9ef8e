"""What a run over an input has to do: its items in order, and the inputs that they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.errors import Fault, InputError, PipelineError, Reason
from pipeline.keys import escape
from pipeline.ledger import LedgerRow
from pipeline.records import Clip
from pipeline.sources import Scan
from pipeline.storage import is_url

_SORTED = 1000
"""Clips among which the longest go first; not more, since shards are written in the order of the plan."""
_BYTES_A_SECOND = 100_000
"""Of video, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipResult:
    """What became of a clip, as its piece holds it.

    reason, message: of the fault, if any. frames: how many are in tracks. seconds: of work; tracking: of them on
    decoding and tracking.
    """

    path: str
    reason: str | None
    message: str
    tracks: int
    frames: int
    seconds: float
    tracking: float

    @classmethod
    def of(
        cls, clip: Clip, fault: InputError | None, *, tracks: int, frames: int, seconds: float, tracking: float = 0.0
    ) -> ClipResult:
        return cls(
            path=clip.path,
            reason=str(fault.reason) if fault else None,
            message=fault.message if fault else "",
            tracks=tracks,
            frames=frames,
            seconds=seconds,
            tracking=tracking,
        )

    def row(self) -> LedgerRow:
        """As if the clip were all of its input."""
        fault = InputError(Reason(self.reason), self.message) if self.reason else None
        counts = {"tracks": self.tracks, "frames": self.frames}
        return LedgerRow.of(self.path, fault, **counts, seconds=self.seconds, tracking=self.tracking)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """clips: by key, in the order in which their samples lie in the shards. faults: what was left out."""

    clips: dict[str, Clip]
    faults: list[Fault]

    @classmethod
    def of(cls, scan: Scan) -> Plan:
        """Raises PipelineError where two clips have the same names."""
        clips: dict[str, Clip] = {}
        for clip in scan:
            other = clips.setdefault(key_of(clip), clip)
            if other is not clip:
                raise PipelineError(
                    f"{clip.path}: has the names of {other.path}: {clip.identity}/{clip.video}/{clip.clip}"
                )
        return cls(clips=clips, faults=scan.faults)

    def ledger(self, results: Mapping[str, ClipResult]) -> list[LedgerRow]:
        """A row an input, in the order of the plan, of what is known so far.

        What was left out comes first. An input with several clips is done if any of them is, has the reason of its
        first fault, and the sums of the rest. Results of clips that are planned no more come last.
        """
        rows: dict[str, LedgerRow] = {}
        left_out = [LedgerRow.of(fault.path, _error(fault), tracks=0, frames=0, seconds=0.0) for fault in self.faults]
        known = [results[key] for key in self.clips if key in results]
        known += [result for key, result in results.items() if key not in self.clips]
        for row in [*left_out, *(result.row() for result in known)]:
            rows[row.input] = _both(rows[row.input], row) if row.input in rows else row
        return list(rows.values())


def key_of(clip: Clip) -> str:
    """The clip's names as a key; no other clip of its input has the same."""
    return "/".join(map(escape, (clip.identity, clip.video, clip.clip)))


def longest_first(clips: Mapping[str, Clip]) -> Iterator[tuple[str, Clip]]:
    """The clips in their order, but within each thousand the longest first: a long one that is begun last would leave
    all workers but one without work."""
    items = iter(clips.items())
    while some := list(islice(items, _SORTED)):
        yield from sorted(some, key=lambda item: -_seconds(item[1]))


def _seconds(clip: Clip) -> float:
    """About how long it is; 0 where that cannot be told without opening it, or asking a store."""
    if clip.span is not None and clip.span.end < math.inf:
        return clip.span.end - clip.span.start
    path = Path(clip.path)
    return 0.0 if is_url(clip.path) or not path.is_file() else path.stat().st_size / _BYTES_A_SECOND


def _error(fault: Fault) -> InputError:
    return InputError(fault.reason, str(fault))


def _both(one: LedgerRow, other: LedgerRow) -> LedgerRow:
    first = one if one.reason else other
    fault = InputError(first.reason, first.message) if first.reason else None
    sums = {name: getattr(one, name) + getattr(other, name) for name in ("tracks", "frames", "seconds", "tracking")}
    return LedgerRow.of(one.input, fault, **sums)
