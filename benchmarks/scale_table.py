"""The tables of docs/SCALE.md: bytes, machines, hours and money of large datasets, out of measured speeds.

    python benchmarks/scale_table.py [--write] [--cpu-hour 0.045] [--gpu-hour 3.00] [--frames 220e6 --clips 1.1e6]

Prints the tables, with your own prices if you name some, and with your own dataset beside the others. `--write` puts
them into docs/SCALE.md. Every figure that is not arithmetic stands at the top of this file, with where it comes from.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "SCALE.md"

Table = list[tuple[str, ...]]


@dataclass(frozen=True)
class Footage:
    """A set of clips. frames: at 25 a second."""

    name: str
    clips: int
    people: int
    frames: int


VOXCELEB1 = Footage("VoxCeleb1", 153_516, 1_251, 352 * 3600 * 25)
VOXCELEB2 = Footage("VoxCeleb2", 1_128_246, 6_112, 2_442 * 3600 * 25)
SETS = (VOXCELEB1, VOXCELEB2, Footage("ten times VoxCeleb2", 11_282_460, 61_120, 10 * VOXCELEB2.frames))
"""As published: utterances, people, hours."""


@dataclass(frozen=True)
class Measured:
    """What benchmarks/README.md and docs/SCALE.md measure; pictures of 256x256, the generic head.

    Bytes are those in the tar, headers and padding included: mean of 4,117 frames of twelve clips.
    """

    jpeg: int = 22_951
    vertices: int = 25_600
    codes: int = 1_536
    json: int = 1_536
    cpu_frames: float = 55 / 2
    """Frames a second of a core: preprocess on Ray, landmarks fitter, two cores."""
    gpu_frames: float = 300
    """Frames a second of 16 cores and an H100: preprocess with DECA."""
    gpu_cores: int = 16
    train_pairs: float = 164.4
    """Pairs a second of an H100, compiled, batch of 16."""
    render_frames: float = 1_427
    """Frames a second of an H100 with 16 cores that encode."""
    manifest: float = 419e6 / 1.1e6
    """Bytes a clip of 195 frames in manifest.parquet."""
    index: int = 4
    """Bytes a frame that a reader of pairs keeps."""


@dataclass(frozen=True)
class Prices:
    """US dollars: assumptions of November 2026, in the range of list prices. Put in your own.

    cpu_hour: of a virtual CPU, as of machines with 16 to 64. gpu_hour: of an H100 with the 16 CPUs beside it. spot:
    share of that which is paid for machines that may be taken away. gb_month: of a gigabyte on an object store.
    """

    cpu_hour: float = 0.045
    gpu_hour: float = 3.00
    spot: float = 0.4
    gb_month: float = 0.023
    thousand_puts: float = 0.005
    thousand_gets: float = 0.0004


MEASURED, PRICES = Measured(), Prices()
SHARD_BYTES, UPLOAD_BYTES = 10**9, 16 << 20
RECIPE_PAIRS = 16 * 1_000_000
"""The default recipe: a million steps of 16 pairs."""


def frame_bytes(store: tuple[str, ...], measured: Measured = MEASURED) -> int:
    """A frame in a shard. store: as `preprocess --store`."""
    return measured.jpeg + measured.json + sum(getattr(measured, name) for name in store)


def bytes_table(sets: tuple[Footage, ...], prices: Prices) -> Table:
    """Terabytes of shards = frames x bytes a frame; dollars a month = gigabytes x price."""
    stores = (("vertices", "codes"), ("vertices",), ("codes",))
    rows: Table = [("set", "frames", *(f"`--store {','.join(store)}`" for store in stores), "codes save a month")]
    for footage in sets:
        sizes = [footage.frames * frame_bytes(store) for store in stores]
        saved = (sizes[0] - sizes[-1]) / 1e9 * prices.gb_month
        rows.append(
            (footage.name, _big(footage.frames), *(f"{size / 1e12:,.1f} TB" for size in sizes), _dollars(saved))
        )
    return rows


def preprocess_table(sets: tuple[Footage, ...], prices: Prices) -> Table:
    """Core-hours = frames / frames a second of a core / 3600; hours = core-hours / cores."""
    rows: Table = [
        ("set", "core-hours", "on 64 cores", "on 1,024 cores", "price", "spot", "with DECA: H100-hours", "price")
    ]
    for footage in sets:
        core_hours = footage.frames / MEASURED.cpu_frames / 3600
        gpu_hours = footage.frames / MEASURED.gpu_frames / 3600
        price = core_hours * prices.cpu_hour
        rows.append(
            (
                footage.name,
                f"{core_hours:,.0f}",
                _hours(core_hours / 64),
                _hours(core_hours / 1024),
                _dollars(price),
                _dollars(price * prices.spot),
                f"{gpu_hours:,.0f}",
                _dollars(gpu_hours * prices.gpu_hour),
            )
        )
    return rows


def training_table(sets: tuple[Footage, ...], prices: Prices) -> Table:
    """H100-hours = pairs / pairs a second / 3600. Every frame once is a pair for two frames."""
    rows: Table = [("training", "pairs", "H100-hours", "price")]
    amounts = [("the default recipe, any set", RECIPE_PAIRS)]
    amounts += [(f"every frame of {footage.name} once", footage.frames // 2) for footage in sets]
    for name, pairs in amounts:
        hours = pairs / MEASURED.train_pairs / 3600
        rows.append((name, _big(pairs), f"{hours:,.0f}", _dollars(hours * prices.gpu_hour)))
    return rows


def rendering_table(sets: tuple[Footage, ...], prices: Prices) -> Table:
    """H100-hours = frames / frames a second / 3600: every frame drives once, from stored codes."""
    rows: Table = [("every frame drives once", "frames", "H100-hours", "on 8 H100s", "price")]
    for footage in sets:
        hours = footage.frames / MEASURED.render_frames / 3600
        price = _dollars(hours * prices.gpu_hour)
        rows.append((footage.name, _big(footage.frames), f"{hours:,.0f}", _hours(hours / 8), price))
    return rows


def objects_table(sets: tuple[Footage, ...], prices: Prices) -> Table:
    """Of preprocess on an object store: what is there at its end, and what it asked for.

    A clip is a GET of its video, a PUT and a GET of its part and a PUT of its result, and twice a HEAD to compare what
    arrived; a shard is a PUT for 16 MiB and two to begin and end it. A pack holds 10,000 results.
    """
    rows: Table = [
        ("set", "shards of 1 GB", "packs", "PUTs", "GETs and HEADs", "price", "manifest", "kept by a loader")
    ]
    for footage in sets:
        shards = math.ceil(footage.frames * frame_bytes(("vertices", "codes")) / SHARD_BYTES)
        packs = math.ceil(footage.clips / 10_000)
        puts = 2 * footage.clips + shards * (math.ceil(SHARD_BYTES / UPLOAD_BYTES) + 2) + packs
        gets = 4 * footage.clips + shards
        rows.append(
            (
                footage.name,
                f"{shards:,}",
                f"{packs:,}",
                _big(puts),
                _big(gets),
                _dollars((puts * prices.thousand_puts + gets * prices.thousand_gets) / 1000),
                f"{footage.clips * MEASURED.manifest / 1e9:,.2f} GB",
                f"{footage.frames * MEASURED.index / 1e9:,.2f} GB",
            )
        )
    return rows


TABLES: dict[str, Callable[[tuple[Footage, ...], Prices], Table]] = {
    "bytes": bytes_table,
    "preprocess": preprocess_table,
    "training": training_table,
    "rendering": rendering_table,
    "objects": objects_table,
}


def written(document: str, sets: tuple[Footage, ...] = SETS, prices: Prices = PRICES) -> str:
    """The document with each table, between `<!-- table NAME -->` and the next empty line, anew."""
    for name, make in TABLES.items():
        mark = f"<!-- table {name} -->"
        if mark not in document:
            raise ValueError(f"no {mark} in the document")
        text = f"{mark}\n{markdown(make(sets, prices))}"
        document = re.sub(rf"{re.escape(mark)}\n(?:\|.*\n)*", lambda _, text=text: f"{text}\n", document)
    return document


def markdown(table: Table) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "| --- " * len(table[0]) + "|", *rows])


def _big(count: float) -> str:
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:,.1f} {name}"
    return f"{count:,.0f}"


def _hours(hours: float) -> str:
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} h"


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}" if amount >= 10 else f"${amount:,.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--frames", type=float, help="Of your own footage.")
    parser.add_argument("--clips", type=float, help="Of your own footage.  [default: one for 200 frames]")
    for name in ("cpu_hour", "gpu_hour", "spot", "gb_month"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(PRICES, name))
    options = parser.parse_args()
    if options.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text()))
        return
    own = options.frames and (Footage("yours", int(options.clips or options.frames / 200), 0, int(options.frames)),)
    prices = Prices(options.cpu_hour, options.gpu_hour, options.spot, options.gb_month)
    for name, make in TABLES.items():
        print(f"{name}\n\n{markdown(make(SETS + (own or ()), prices))}\n")


if __name__ == "__main__":
    main()
