"""How many threads the libraries of a process use."""

from __future__ import annotations

import cv2
import torch


def limit_threads(count: int) -> None:
    """Let torch and OpenCV use that many threads; their sums are the same whenever the count is."""
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
