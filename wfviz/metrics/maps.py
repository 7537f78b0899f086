"""Pictures as points: what a layer makes of them, laid out in two dimensions that every network shares."""

from __future__ import annotations

import torch
from torch import Tensor

SHOWN = 200  # pictures, evenly from all classes, or one each of as many


class FeatureMap:
    """Axes found once on the original's features, on which every network's features of the same pictures are laid out.

    PCA, and UMAP (McInnes et al. 2018, arXiv:1802.03426) where umap-learn is installed: UMAP keeps neighbourhoods, so
    clusters stand out, but distances between them mean little.

    features: [N, D] of the original. labels: [N] on the CPU. neighbours: indices of the pictures that UMAP learns from.
    """

    def __init__(self, features: Tensor, labels: Tensor, neighbours: Tensor, seed: int = 0):
        n = int(labels.max()) + 1
        classes = range(n) if n <= SHOWN else torch.linspace(0, n - 1, SHOWN).long().tolist()
        self.shown = torch.cat([(labels == c).nonzero()[: max(1, SHOWN // n), 0] for c in classes])[:SHOWN]
        self.labels = labels[self.shown]
        points = features[self.shown].float()
        self.mean, self.axes = points.mean(0), torch.linalg.svd(points - points.mean(0), full_matrices=False)[2][:2].T
        self.umap = _fitted(features[neighbours].float(), seed)

    def points(self, features: Tensor) -> dict:
        """{"labels", "x", "y"}, lists of the pictures shown; with UMAP also "umap_x" and "umap_y". features: [N, D] of a network."""
        found = features[self.shown].float()
        flat = (found - self.mean) @ self.axes
        more = _axes("umap_", self.umap.transform(found.numpy())) if self.umap is not None else {}
        return {"labels": self.labels.tolist(), **_axes("", flat), **more}


def _fitted(features: Tensor, seed: int):
    """UMAP of `features`, or None where umap-learn is not installed."""
    try:
        from umap import UMAP
    except ImportError:
        return None
    return UMAP(random_state=seed, n_jobs=1, n_neighbors=min(15, len(features) - 1)).fit(features.numpy())


def _axes(prefix: str, points) -> dict[str, list[float]]:
    return {f"{prefix}{axis}": [round(float(v), 2) for v in values] for axis, values in zip("xy", points.T, strict=True)}
