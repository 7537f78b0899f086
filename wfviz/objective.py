"""What α learns from: the loss of Poppi et al. 2024 (Eq. 3 and its regulariser), and what was tried beside it.

    λ0 · mean retain_i + λ1 · mean forget_i + λ2 · mean(1 − gate) + λ3 · mean 4 · gate · (1 − gate) + λ4 · separability

In the paper retain is the cross-entropy CE_i, forget its reciprocal, and λ3 and λ4 are 0; the reciprocal is taken sample by
sample, and ε keeps a memorised sample from exploding. The teacher is the original with the logit of the forgotten class
masked. `docs/untraining.md` compares the choices.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wfviz.errors import WfvizError, nearest
from wfviz.filtering import WFNet
from wfviz.specs import UntrainSpec


def towards(logits: Tensor, target: Tensor) -> Tensor:
    """KL(target || softmax(logits)) in nats, [N]."""
    return F.kl_div(logits.log_softmax(1), target, reduction="none").sum(1)


# name -> (logits [N, C], CE [N], teacher's distribution [N, C] or None, spec) -> [N], lower is better
FORGET: dict[str, Callable[..., Tensor]] = {
    "reciprocal": lambda logits, ce, target, spec: 1 / (ce + spec.epsilon),
    "unlikelihood": lambda logits, ce, target, spec: -torch.log(-torch.expm1(-ce) + 1e-6),  # −log(1 − p) of the own class
    "teacher": lambda logits, ce, target, spec: towards(logits, target),
}
RETAIN: dict[str, Callable[..., Tensor]] = {
    "labels": lambda logits, ce, target, spec: ce,
    "teacher": lambda logits, ce, target, spec: towards(logits, target),
}


def check_losses(spec: UntrainSpec) -> None:
    """WfvizError for a loss of another name."""
    for name, known, what in ((spec.forget_loss, FORGET, "forget loss"), (spec.retain_loss, RETAIN, "retain loss")):
        if name not in known:
            raise WfvizError(nearest(name, known, what))


def needs_teacher(spec: UntrainSpec) -> bool:
    return "teacher" in (spec.forget_loss, spec.retain_loss)


def teacher(original: Tensor, rows: Tensor) -> Tensor:
    """The original's distribution [N, C] without the class of each sample's row; original: logits [N, C], rows [N]."""
    return original.float().scatter(1, rows[:, None], -torch.inf).softmax(1)


def objective(
    logits: Tensor, labels: Tensor, forgets: Tensor, gates: Tensor, spec: UntrainSpec, *, target: Tensor | None = None,
    middle: Tensor | float = 0.0, features: Tensor | float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch and its parts.

    logits [N, C], labels [N], forgets bool [N]: where the sample's own class is forgotten; gates: mean of all
    gates in [0, 1], a scalar tensor; target: `teacher`, where a loss asks for it; middle: mean of 4 g (1 − g);
    features: how well they tell the forgotten class.
    """
    logits = logits.float()
    ce = F.cross_entropy(logits, labels, reduction="none")
    of = lambda mask: (logits[mask], ce[mask], None if target is None else target[mask], spec)  # noqa: E731
    retain, forget = RETAIN[spec.retain_loss](*of(~forgets)).mean(), FORGET[spec.forget_loss](*of(forgets)).mean()
    closed = 1 - gates
    loss = spec.lambda_retain * retain + spec.lambda_forget * forget + spec.lambda_gates * closed
    loss = loss + spec.lambda_middle * middle + spec.lambda_features * features
    return loss, {"retain": retain.item(), "forget": forget.item(), "closed": closed.item()}


def mean_gate(net: WFNet) -> Tensor:
    """Mean over all gates of all rows and layers."""
    return _mean(net, lambda gate: gate)


def mean_middle(net: WFNet) -> Tensor:
    """Mean of 4 g (1 − g) over all gates: 0 where every gate is open or closed, 1 where all are halfway."""
    return _mean(net, lambda gate: 4 * gate * (1 - gate))


def _mean(net: WFNet, of: Callable[[Tensor], Tensor]) -> Tensor:
    alphas = net.alpha_parameters()
    return sum(of(torch.sigmoid(a)).sum() for a in alphas) / sum(a.numel() for a in alphas)
