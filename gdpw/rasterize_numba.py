"""The z-buffer of `rasterize`, compiled for the CPU. `rasterize_torch` is the same in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: the function as machine code, kept on disk between processes where a folder for it can be written."""

    def compile_function(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError:  # numba found no such folder: compile once in each process
            return numba.njit(error_model="numpy", **options)(function)

    return compile_function


@compiled(inline="always")
def _owns(dx: float, dy: float, side: float) -> bool:
    """Whether a centre `side` (>= 0) inside an edge with direction (dx, dy) counts as inside: on it, one face only."""
    return side > 0 or dy < 0 or (dy == 0 and dx > 0)


@compiled()
def _find_nearest(
    drawn: NDArray[np.float64],  # (V, 2)
    z: NDArray[np.float32],  # (V,)
    faces: NDArray[np.int32],  # (F, 3)
    closed: bool,
    triangle: NDArray[np.int32],  # (H, W), written
    nearest: NDArray[np.float32],  # (H, W), written
) -> None:
    height, width = triangle.shape
    half_width, half_height = width / 2, height / 2
    triangle[:] = 0
    nearest[:] = np.inf
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = drawn[a, 0], drawn[a, 1]
        bx, by = drawn[b, 0], drawn[b, 1]
        cx, cy = drawn[c, 0], drawn[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area < 0:
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
            area = -area
        if not area > 0:  # no area, or not a number
            continue
        left = int(max(0.0, np.ceil(min(ax, bx, cx) + half_width - 0.5)))
        right = int(min(width - 1.0, np.floor(max(ax, bx, cx) + half_width - 0.5)))
        top = int(max(0.0, np.ceil(min(ay, by, cy) + half_height - 0.5)))
        bottom = int(min(height - 1.0, np.floor(max(ay, by, cy) + half_height - 0.5)))
        scale = 1 / area
        for row in range(top, bottom + 1):
            y = row + 0.5 - half_height
            for column in range(left, right + 1):
                x = column + 0.5 - half_width
                on_a = (cx - bx) * (y - by) - (cy - by) * (x - bx)
                on_b = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
                on_c = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
                least = min(on_a, on_b, on_c)
                if least < 0:
                    continue
                if (
                    least > 0
                    or closed
                    or (
                        _owns(cx - bx, cy - by, on_a)
                        and _owns(ax - cx, ay - cy, on_b)
                        and _owns(bx - ax, by - ay, on_c)
                    )
                ):
                    depth = np.float32((on_a * z[a] + on_b * z[b] + on_c * z[c]) * scale)
                    if depth < nearest[row, column]:
                        nearest[row, column] = depth
                        triangle[row, column] = face + 1


@compiled()
def _weigh_corners(
    exact: NDArray[np.float64],  # (V, 2)
    z: NDArray[np.float32],  # (V,)
    faces: NDArray[np.int32],  # (F, 3)
    cull: bool,
    triangle: NDArray[np.int32],  # (H, W), emptied where culled
    bary: NDArray[np.float32],  # (H, W, 2), written
    depth: NDArray[np.float32],  # (H, W), written
) -> None:
    height, width = triangle.shape
    for row in range(height):
        y = row + 0.5 - height / 2
        for column in range(width):
            x = column + 0.5 - width / 2
            bary[row, column, 0] = 0
            bary[row, column, 1] = 0
            depth[row, column] = 0
            face = triangle[row, column] - 1
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay = exact[a, 0], exact[a, 1]
            bx, by = exact[b, 0], exact[b, 1]
            cx, cy = exact[c, 0], exact[c, 1]
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if cull and area > 0:
                triangle[row, column] = 0
                continue
            scale = 1 / area if area != 0 else 0.0  # only the rounded triangle had an area: take the third corner
            first = ((cx - bx) * (y - by) - (cy - by) * (x - bx)) * scale
            second = ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) * scale
            depth[row, column] = first * z[a] + second * z[b] + (1 - first - second) * z[c]
            first, second = min(max(first, 0.0), 1.0), min(max(second, 0.0), 1.0)
            scale = 1 / max(first + second, 1.0)
            bary[row, column, 0] = first * scale
            bary[row, column, 1] = second * scale


def _draw_meshes(
    exact: NDArray[np.float64],  # (B, V, 2)
    drawn: NDArray[np.float64],  # (B, V, 2)
    z: NDArray[np.float32],  # (B, V)
    faces: NDArray[np.int32],  # (F, 3)
    closed: bool,
    cull: bool,
    triangle: NDArray[np.int32],  # (B, H, W), written, as are the next two
    bary: NDArray[np.float32],  # (B, H, W, 2)
    depth: NDArray[np.float32],  # (B, H, W)
) -> None:
    for item in numba.prange(len(drawn)):
        _find_nearest(drawn[item], z[item], faces, closed, triangle[item], depth[item])
        _weigh_corners(exact[item], z[item], faces, cull, triangle[item], bary[item], depth[item])


_draw_one_by_one = compiled()(_draw_meshes)
_draw_side_by_side = compiled(parallel=True)(_draw_meshes)


def draw(
    exact: Tensor, drawn: Tensor, z: Tensor, faces: Tensor, height: int, width: int, closed: bool, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `rasterize_torch.draw`, on the CPU; meshes side by side on as many threads as torch has."""
    triangle = torch.empty(len(drawn), height, width, dtype=torch.int32)
    bary = torch.empty(len(drawn), height, width, 2)
    depth = torch.empty(len(drawn), height, width)
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    threads = min(torch.get_num_threads(), available, len(drawn))
    kernel = _draw_one_by_one
    if threads > 1:
        numba.set_num_threads(threads)
        kernel = _draw_side_by_side
    arrays = (array.contiguous().numpy() for array in (exact, drawn, z, faces))
    kernel(*arrays, closed, cull, triangle.numpy(), bary.numpy(), depth.numpy())
    return triangle, bary, depth
