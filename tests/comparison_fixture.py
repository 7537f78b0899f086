"""A comparison as `python -m wfviz compare` writes it, with seeded random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wfviz.files import write_json

CLASSES = tuple(str(c) for c in range(10))
LAYERS = ("conv1", "conv2", "fc1", "features")
# name: (title, source, reference, mean Acc_f, mean Acc_r, recall of the probe, epochs to relearn, seconds, once, bytes)
METHODS = {
    "wfnet": ("WF-Net", "Poppi et al. 2024", False, 0.004, 0.972, 0.84, 2, 0.02, 41.0, 1_500),
    "original": ("Original", "the pretrained network", True, 0.975, 0.974, 0.93, 0, 0.0, 0.0, 0),
    "retrain": ("Retrained without the class", "exact unlearning", True, 0.0, 0.971, 0.62, 9, 37.0, 0.0, 410_000),
    "logit_mask": ("Logit masking", "control", True, 0.0, 0.976, 0.93, 3, 0.01, 0.0, 8),
    "random_labels": ("Random labels", "Golatkar et al. 2020", False, 0.03, 0.941, 0.71, 4, 6.1, 0.0, 410_000),
    "svd": ("SVD class forgetting", "Kodge et al. 2024", False, 0.01, 0.958, 0.66, 7, 2.2, 0.0, 410_000),
    "forget_gently": ("Forget <gently>", "our own", False, 0.12, 0.97, 0.9, None, 1.4, 0.0, 410_000),
}  # fmt: skip


def row(rng: np.random.Generator, method: str, forget: int, seed: int) -> dict:
    title, source, reference, acc_f, acc_r, recall, epochs, seconds, once, size = METHODS[method]
    n, pictures = len(CLASSES), 36
    made = {"method": method, "title": title, "source": source, "reference": reference, "forget": forget, "seed": seed, "settings": {"lr": 0.1}}
    splits = {}
    for split in ("test", "train"):
        confusion = np.zeros((n, n), dtype=int)
        for c in range(n):
            right = rng.binomial(pictures, acc_f if c == forget else acc_r)
            confusion[c, c] = right
            others = [k for k in range(n) if k != c]
            confusion[c, others] = rng.multinomial(pictures - right, rng.dirichlet(np.ones(n - 1) * 0.3))
        kept = np.arange(n) != forget
        splits[split] = {
            "confusion": confusion.tolist(), "acc_f": confusion[forget, forget] / pictures,
            "acc_r": float(np.diagonal(confusion)[kept].sum() / confusion[kept].sum()),
        }
    goal, after = 0.97, []
    for epoch in range((epochs if epochs is not None else 12) + 1):
        after.append(round(float(min(goal, acc_f + (goal - acc_f) * epoch / max(epochs or 40, 1))), 4))
    fpr = np.linspace(0, 1, 21)
    auc = float(rng.uniform(0.5, 0.62 if reference else 0.75))
    decay = np.linspace(0.6, 0, len(LAYERS))
    x, y = rng.normal(size=(2, 60))
    labels = np.arange(60) % n
    return {
        **made, "state": "done", "seconds": round(seconds * rng.uniform(0.9, 1.1), 3), "once_seconds": once, "bytes": size, "splits": splits,
        "f1": acc_r * 0.99, "js": None if method == "retrain" and seed else float(rng.uniform(0, 0.1)), "js_original": 0.05,
        "zrf": {"nats": float(rng.uniform(0.6, 0.9)), "bits": 0.5},
        "relearn": {"epochs": epochs, "goal": goal, "accuracy": after},
        "attack": {
            "confidence": 1 - auc, "entropy": auc - 0.01 if auc > 0.52 else 0.5, "loss": 0.5, "logistic": 0.5,
            "curve": {"fpr": fpr.tolist(), "tpr": (fpr ** (1 / auc - 1)).tolist()},
        },
        "probe": {layer: float(recall - d * recall * 0.3 + rng.normal(0, 0.01)) for layer, d in zip(LAYERS, decay, strict=True)},
        "cka": {layer: float(1 - rng.uniform(0, 0.2) * i) for i, layer in enumerate(LAYERS)},
        "cka_retrained": {layer: float(0.95 - 0.1 * i) for i, layer in enumerate(LAYERS)},
        "map": {
            "labels": labels.tolist(), "x": (4 * np.cos(labels * 0.63) + 0.6 * x).round(2).tolist(),
            "y": (4 * np.sin(labels * 0.63) + 0.6 * y).round(2).tolist(), "umap_x": (labels + 0.1 * x).tolist(), "umap_y": (labels + 0.1 * y).tolist(),
        },
        "over_forgetting": bool(acc_r < 0.95),
    }  # fmt: skip


def comparison(forget=(0, 3, 7), seeds=(0, 1), methods=tuple(METHODS), weights: str = "0" * 64, folder: str = "runs/digits-backbone") -> dict:
    """What `comparison.json` holds; `svd` fails for the last class and the last seed."""
    rng = np.random.default_rng(0)
    rows = []
    for method in methods:
        for seed in seeds:
            for c in forget:
                made = row(rng, method, c, seed)
                if (method, seed, c) == ("svd", seeds[-1], forget[-1]):
                    keep = ("method", "title", "source", "reference", "forget", "seed", "settings")
                    made = {k: made[k] for k in keep} | {"state": "failed", "error": "LinAlgError: SVD did not converge"}
                rows.append(made)
    return {
        "format": 1, "kind": "comparison", "name": "digits-cnn", "dataset": "digits",
        "backbone": {"name": "cnn", "n_classes": 10, "channels": 1, "size": 8, "pretrained": False}, "classes": list(CLASSES),
        "original": {"folder": folder, "weights": weights}, "command": "python -m wfviz compare --dataset digits --backbone cnn --out runs/x",
        "versions": {"wfviz": "0"}, "machine": "2 cores, cpu", "layers": list(LAYERS), "methods": list(methods),
        "forget": list(forget), "seeds": list(seeds), "relearn_epochs": 12, "rows": rows,
    }  # fmt: skip


def write(folder: Path, **changes) -> Path:
    """A folder with the comparison; `changes` as for `comparison`."""
    write_json(folder / "comparison.json", comparison(**changes))
    return folder
