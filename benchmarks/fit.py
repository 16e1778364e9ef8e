"""DECA's fit: our large batches against the original's frames, one at a time.

    python benchmarks/fit.py --original CHECKOUT    one NVIDIA GPU; under two minutes, most of it torch.compile
    python benchmarks/fit.py --cpu                  a few faces in float32, to see that it runs

CHECKOUT is one of yataoz/face_reenact_GDPW, whose Fit-DECA needs torchvision. Weights, FLAME and pictures are those of
the parity recipe, with the encoder's output scaled to the size of real codes. Both sides start from decoded frames in
host memory with known face boxes, and end with vertices in host memory; detecting and drawing are not timed.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.backends import cudnn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from deca_set import published_deca  # noqa: E402
from flame_set import Arrays, standin_flame  # noqa: E402
from golden_set import PREFIX, smooth, u01  # noqa: E402

from fit_deca.camera import project_orthographic  # noqa: E402
from fit_deca.crops import warp_affine  # noqa: E402
from fit_deca.deca import DecaFitter  # noqa: E402
from fit_deca.encoder import INPUT_SIZE, PARAMETER_SIZES, Encoder, fast_encoder, split_parameters  # noqa: E402
from fit_deca.flame import Flame  # noqa: E402
from fit_deca.model_file import face_model_from_arrays  # noqa: E402

OUTPUT_SIZE = 256
PICTURES = 16  # different ones; every frame has a box of its own


class Scene(NamedTuple):
    """Frames with known faces: uint8 (B, 3, H, W), frame -> crop (B, 3, 3), crop -> output (B, 3, 3)."""

    frames: Tensor
    to_crop: Tensor
    to_output: Tensor

    def recover(self) -> Tensor:
        """The camera's plane -> output pixels."""
        half = INPUT_SIZE / 2
        return self.to_output @ torch.tensor([[half, 0, half], [0, half, half], [0, 0, 1]], dtype=torch.float64)


def make_scene(count: int, height: int = 480, width: int = 640) -> Scene:
    """Smooth pictures, and square boxes a third to two thirds as high as they."""
    pictures = [smooth(f"{PREFIX}bench/img/{i}", 3, height, width, hi=255) for i in range(min(PICTURES, count))]
    frames = torch.from_numpy(np.stack(pictures)).byte()[torch.arange(count) % len(pictures)]
    side, left, top = torch.from_numpy(u01(f"{PREFIX}bench/boxes", (3, count)))
    side = (1 + side) * height / 3
    zero, one, scale = torch.zeros_like(side), torch.ones_like(side), INPUT_SIZE / side
    rows = [scale, zero, -scale * left * (width - side), zero, scale, -scale * top * (height - side), zero, zero, one]
    enlarge = torch.diag(torch.tensor([OUTPUT_SIZE / INPUT_SIZE] * 2 + [1], dtype=torch.float64))
    return Scene(frames, torch.stack(rows, dim=1).view(-1, 3, 3), enlarge.expand(count, 3, 3))


def realistic_encoder() -> Encoder:
    """The recipe's weights, whose outputs are about 1 in size, with outputs scaled to what DECA gives."""
    encoder = Encoder().eval().requires_grad_(False)
    encoder.load_state_dict(published_deca()["E_flame"])
    scale, offset = torch.ones(sum(PARAMETER_SIZES.values())), torch.zeros(sum(PARAMETER_SIZES.values()))
    pose, camera, light = (
        part[0] for part in torch.arange(len(scale))[None].split(list(PARAMETER_SIZES.values()), 1)[3:]
    )
    scale[pose] = 0.2  # radians
    scale[camera], offset[camera] = torch.tensor([1.0, 0.02, 0.02]), torch.tensor([8.0, 0.0, 0.0])
    scale[light] = 0.3
    last = encoder.layers[2]
    last.weight *= scale[:, None]
    last.bias.mul_(scale).add_(offset)
    return encoder


class Original:
    """The published fitter's modules with our numbers in them, run as its `fit_image.py` runs them on one frame."""

    def __init__(self, checkout: Path, encoder: Encoder, flame: Arrays, device: str) -> None:
        sys.path.insert(0, str(checkout / "Fit-DECA"))
        from decalib.models.encoders import ResnetEncoder
        from decalib.models.FLAME import FLAME
        from decalib.utils.tensor_cropper import transform_points

        self.device, self.transform_points = device, transform_points
        self.encoder = ResnetEncoder(outsize=sum(PARAMETER_SIZES.values())).to(device).eval()
        self.encoder.load_state_dict(encoder.state_dict())
        with tempfile.TemporaryDirectory() as folder:
            model, landmarks = Path(folder, "generic_model.pkl"), Path(folder, "landmark_embedding.npy")
            model.write_bytes(pickle.dumps({name: flame[name] for name in flame if "lmk" not in name}))
            tables: dict[str, Any] = {name: flame[name] for name in flame if "lmk" in name}
            tables |= {name: torch.from_numpy(table) for name, table in tables.items() if name.startswith("dynamic")}
            np.save(landmarks, np.array(tables, dtype=object), allow_pickle=True)
            config = SimpleNamespace(
                flame_model_path=str(model), flame_lmk_embedding_path=str(landmarks), n_shape=100, n_exp=50
            )
            self.flame = FLAME(config).to(device)

    @torch.no_grad()
    def __call__(self, frame: NDArray[np.uint8], to_crop: NDArray[Any], to_output: NDArray[Any]) -> NDArray[Any]:
        """(H, W, 3) -> vertices (V, 3) in output pixels."""
        crop = cv2.warpAffine(frame, to_crop[:2], (INPUT_SIZE, INPUT_SIZE))
        image = torch.as_tensor(crop[None], device=self.device, dtype=torch.float32).permute(0, 3, 1, 2) / 255.0
        codes = split_parameters(self.encoder(image)).codes
        vertices, _, _ = self.flame(
            shape_params=codes.shape,
            expression_params=codes.expression,
            pose_params=codes.pose,
            eye_pose_params=codes.eyes,
        )
        plane = project_orthographic(vertices, codes.camera)
        recover = torch.as_tensor(to_output[None], device=self.device, dtype=torch.float32).transpose(1, 2)
        return self.transform_points(plane, recover, [INPUT_SIZE, INPUT_SIZE])[0].cpu().numpy()


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median duration of a call, after two for warming up."""

    def once() -> float:
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return statistics.median([once() for _ in range(repeats + 2)][2:])


def copied_ahead(batch: Tensor, count: int) -> Iterator[Tensor]:
    """The pinned batch `count` times on the GPU, each copied there while the one before is worked on."""
    copies, work = torch.cuda.Stream(), torch.cuda.current_stream()

    def copy() -> Tensor:
        with torch.cuda.stream(copies):
            return batch.to("cuda", non_blocking=True)

    coming = copy()
    for left in reversed(range(count)):
        work.wait_stream(copies)
        here = coming
        if left:
            coming = copy()
        here.record_stream(work)
        yield here


def distance(ours: Tensor, theirs: Tensor) -> str:
    """How far apart vertices lie in the picture."""
    pixels = (ours - theirs)[..., :2].norm(dim=-1)
    return f"{pixels.mean():.4f} px mean, {pixels.max():.4f} px at most"


class Report:
    """Lines of the table, printed as they come and again at the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)

    def speed(self, what: str, per_face: float) -> None:
        self.say(f"{what:<52}{1e3 * per_face:9.4f} ms a face {1 / per_face:10.0f} faces/s")


def measure_ours(report: Report, encoder: Encoder, flame: Flame, scene: Scene, options: argparse.Namespace) -> Tensor:
    """Times every step and the whole way; returns the float32 vertices, on the CPU."""
    device, count, repeats = flame.faces.device, len(scene.frames), options.repeats
    recover, frames = scene.recover().to(device), scene.frames.to(device)
    crops = warp_affine(frames, scene.to_crop, INPUT_SIZE)

    def fitter(dtype: torch.dtype, compiled: bool = False) -> DecaFitter:
        fast = fast_encoder(encoder, dtype).to(device)
        if compiled:
            fast.encoder.compile()
        return DecaFitter(fast, flame, batch=count)

    with cudnn.flags(enabled=True, allow_tf32=False):
        exact = fitter(torch.float32)
        codes = exact(crops).codes
        expected = exact.vertices(codes, recover)
        report.speed("  encoder, float32 without TF32", seconds(lambda: exact(crops), repeats) / count)
    report.speed("  crop", seconds(lambda: warp_affine(frames, scene.to_crop, INPUT_SIZE), repeats) / count)
    report.speed("  FLAME and projection", seconds(lambda: exact.vertices(codes, recover), repeats) / count)
    kinds = [(dtype, False) for dtype in options.dtypes] + [(options.dtypes[-1], True)] * options.compile
    for dtype, compiled in kinds:
        half, name = fitter(dtype, compiled), f"{str(dtype).removeprefix('torch.')}{', compiled' * compiled}"
        report.speed(f"  encoder, {name}", seconds(lambda half=half: half(crops), repeats) / count)
        if device.type == "cuda":
            report.speed(f"ours, host to host, {name}", host_to_host(half, scene, recover, repeats))
        report.say(
            f"  vertices, {name} against float32: {distance(half.vertices(half(crops).codes, recover), expected)}"
        )
    return expected.cpu()


def host_to_host(fitter: DecaFitter, scene: Scene, recover: Tensor, batches: int) -> float:
    """Seconds a face from frames in host memory to vertices in host memory, over many batches in a row."""
    frames = scene.frames.pin_memory()
    result = torch.empty(len(frames), *fitter.flame.v_template.shape, pin_memory=True)

    def run() -> None:
        for here in copied_ahead(frames, batches):
            codes = fitter(warp_affine(here, scene.to_crop, INPUT_SIZE)).codes
            result.copy_(fitter.vertices(codes, recover), non_blocking=True)

    return seconds(run, repeats=3) / batches / len(frames)


def measure_original(report: Report, original: Original, scene: Scene, expected: Tensor) -> None:
    """Times the original on one frame after the other and compares its vertices with ours."""
    pictures = scene.frames.permute(0, 2, 3, 1).contiguous().numpy()
    rows = list(zip(pictures, scene.to_crop.numpy(), scene.to_output.numpy(), strict=True))[:64]
    report.speed("original, one frame at a time", seconds(lambda: [original(*row) for row in rows], 3) / len(rows))
    with cudnn.flags(enabled=True, allow_tf32=False):
        theirs = torch.from_numpy(np.stack([original(*row) for row in rows]))
    report.say(f"  vertices, original against ours, float32: {distance(theirs, expected[: len(rows)])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, metavar="CHECKOUT", help="checkout of yataoz/face_reenact_GDPW")
    parser.add_argument("--cpu", action="store_true", help="a few faces on the CPU, nothing compiled")
    parser.add_argument("--batch", type=int, help="faces at a time (256; with --cpu 2)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=None, help="torch.compile too")
    options = parser.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        parser.error("no CUDA device found; --cpu makes a small run without one")
    device = "cpu" if options.cpu else "cuda"
    options.repeats = 1 if options.cpu else 20
    options.dtypes = [torch.bfloat16] if options.cpu else [torch.bfloat16, torch.float16]
    options.compile = not options.cpu if options.compile is None else options.compile

    scene, encoder, arrays = (
        make_scene(options.batch or (2 if options.cpu else 256)),
        realistic_encoder(),
        standin_flame(),
    )
    flame = Flame(face_model_from_arrays(arrays, "standin")).to(device)
    report = Report()
    where = "CPU" if options.cpu else torch.cuda.get_device_name()
    report.say(
        f"{where}, torch {torch.__version__}, {len(scene.frames)} faces a batch, frames {tuple(scene.frames.shape[2:])}"
    )
    expected = measure_ours(report, encoder, flame, scene, options)
    if options.original:
        measure_original(report, Original(options.original, encoder, arrays, device), scene, expected)
    print("\n" + "\n".join(report.lines))


if __name__ == "__main__":
    main()
