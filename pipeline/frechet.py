"""The Fréchet distance between two sets of features: FID, where they are Inception's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def frechet_distance(features: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Between the Gaussians with the means and covariances of (N, D) and (M, D) features, N and M at least 2.

    Of as few as D features it is far too large; compare only sets of the same sizes.
    Source: Heusel et al., GANs trained by a two time-scale update rule (2017), |m - n|^2 + tr(S + T - 2 sqrt(S T)).
    """
    sets = [torch.from_numpy(np.asarray(some, np.float64)) for some in (features, others)]
    apart = (sets[0].mean(0) - sets[1].mean(0)).square().sum()
    ours, theirs = map(_root, sets)
    # With S = A'A and T = B'B, the trace of sqrt(S T) is the sum of the singular values of A B'.
    shared = torch.linalg.svdvals(ours @ theirs.mT).sum()
    return max(float(apart + ours.square().sum() + theirs.square().sum() - 2 * shared), 0.0)


def _root(features: Tensor) -> Tensor:
    """A root A of the covariance A'A, with no more rows than columns."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred
