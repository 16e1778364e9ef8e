"""How many threads the libraries of a process use."""

from __future__ import annotations


def limit_threads(count: int) -> None:
    """Let torch and OpenCV use that many threads; their sums are the same whenever the count is."""
    import cv2  # here, since processes that only count and wait come by this module and need neither
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)
