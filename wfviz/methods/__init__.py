"""Unlearning methods under one signature: `get(name).run(model, forget, data, spec)`; see `registry`."""

from wfviz.methods import (  # noqa: F401  (each registers itself, in the order of the table)
    original, retrain, logit_mask,  # references
    wfnet, weight_masks,
    random_labels, negative_gradient, neggrad_plus,
    selective, kga, svd, salun, concept_poisoning, rum,
)
from wfviz.methods.registry import Method, MethodSpec, Progress, get, method, names, setting

__all__ = ["Method", "MethodSpec", "Progress", "get", "method", "names", "setting"]
