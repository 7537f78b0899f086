"""Maps of features: PCA against the plain decomposition, UMAP by what it keeps."""

import sys

import numpy as np
import pytest
import torch

from wfviz.metrics.maps import SHOWN, FeatureMap


@pytest.fixture(scope="module")
def clusters() -> tuple[torch.Tensor, torch.Tensor]:
    """[600, 12] features in three groups far apart, with their labels."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (600,), generator=draw)
    return 20 * torch.eye(3, 12)[labels] + torch.randn(600, 12, generator=draw), labels


def test_pca_of_the_pictures_shown(clusters, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    features, labels = clusters
    found = FeatureMap(features, labels, torch.arange(300))
    points = found.points(features)
    assert set(points) == {"labels", "x", "y"} and len(points["x"]) == 3 * (SHOWN // 3)
    assert np.bincount(points["labels"]).tolist() == [SHOWN // 3] * 3
    chosen = np.concatenate([np.flatnonzero(labels.numpy() == c)[: SHOWN // 3] for c in range(3)])
    centred = features.numpy()[chosen] - features.numpy()[chosen].mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    for axis, vector in zip("xy", vectors.T[::-1][:2], strict=True):
        np.testing.assert_allclose(np.abs(points[axis]), np.abs(centred @ vector), atol=0.02)
    moved = found.points(features + 1)  # of another network, on the same axes
    shift = (torch.ones(12) @ found.axes).tolist()
    np.testing.assert_allclose(np.array(moved["x"]) - points["x"], shift[0], atol=0.02)


def test_a_class_without_pictures(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    found = FeatureMap(torch.randn(6, 4), torch.tensor([0, 0, 2, 2, 2, 0]), torch.arange(6)).points(torch.randn(6, 4))
    assert found["labels"] == [0, 0, 0, 2, 2, 2]


def test_umap_keeps_neighbours(clusters):
    pytest.importorskip("umap.umap_", reason="umap-learn is not installed; it is optional, and its presence changes the last bits of later sums in a process")
    features, labels = clusters
    found, again = (FeatureMap(features, labels, torch.arange(300)).points(features) for _ in range(2))
    assert found == again
    points, own = np.stack([found["umap_x"], found["umap_y"]], 1), np.array(found["labels"])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.diag(np.full(len(points), np.inf))
    assert (own[distances.argmin(1)] == own).mean() == 1
