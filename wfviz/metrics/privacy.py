"""Membership inference: does what a network says betray which pictures it was trained on?

For a forgotten class the members are its training pictures, the others its test pictures. The area under the
ROC curve (AUC) is the chance that a random member scores higher than a random other picture: 0.5 is the ideal and the
retrained network's number is the one to stand beside it. Below 0.5 betrays as much as above: members that are
conspicuously *less* certain are found by turning the attack round.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wfviz.errors import WfvizError

LARGEST = 20  # probabilities the learned attack looks at; with 1000 classes the rest is noise
FOLDS = 5
POINTS = 100  # of the stored curve at most
FEW = 64  # shadow models below which LiRA estimates one variance for all pictures


def attacks(member_logits: Tensor, member_y: Tensor, other_logits: Tensor, other_y: Tensor, seed: int = 0) -> dict:
    """AUC in [0, 1] of four attacks without shadow models, and the ROC curve of the one farthest from 0.5.

    "confidence": probability of the likeliest class. "entropy": minus the entropy of the distribution. "loss": minus
    the cross-entropy of the true label (Yeom et al. 2018, section III). "logistic": a logistic regression on the
    probabilities in descending order (the 20 largest), as Shokri et al. 2017 learn an attack, but on the network
    itself, as the strongest of its kind; judged on pictures it was not fitted on, by 5-fold cross-validation
    with `seed`, and so by itself it scatters around 0.5 where there is nothing to find.

    "curve": {"attack": name, "fpr": [at most 100 values], "tpr": [as many]}, from (0, 0) to (1, 1).

    member_logits [N, C], member_y [N], other_logits [M, C], other_y [M]. Raises WfvizError for fewer than two
    pictures on either side, and for logits that are not finite.
    """
    from sklearn.metrics import roc_auc_score

    n, m = len(member_logits), len(other_logits)
    if min(n, m) < 2:
        raise WfvizError(f"membership inference needs two pictures or more on each side, not {n} and {m}")
    logits, y = torch.cat([member_logits, other_logits.to(member_logits)]).double(), torch.cat([member_y, other_y.to(member_y)])
    if not logits.isfinite().all():
        raise WfvizError("the network's logits are not finite numbers; it was destroyed: forget with a lower rate or fewer steps")
    member = np.arange(n + m) < n
    logp = logits.log_softmax(1)
    scores = {
        "confidence": scaled_confidence(logits, logits.argmax(1)).cpu().numpy(),  # the order of the probability, without ties near 1
        "entropy": torch.xlogy(logp.exp(), logp.exp()).sum(1).cpu().numpy(),
        "loss": scaled_confidence(logits, y).cpu().numpy(),
        "logistic": _learned(logp.exp().sort(1, descending=True).values[:, :LARGEST].cpu().numpy(), member, seed),
    }
    found: dict = {name: float(roc_auc_score(member, score)) for name, score in scores.items()}
    worst = max(found, key=lambda name: abs(found[name] - 0.5))
    return {**found, "curve": {"attack": worst, **curve(scores[worst], member)}}


def curve(score: np.ndarray, member: np.ndarray) -> dict[str, list[float]]:
    """The ROC curve {"fpr", "tpr"} of a score; member: which pictures are members, bool of the same length."""
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(member, score)
    return _thinned(fpr, tpr)


def scaled_confidence(logits: Tensor, y: Tensor) -> Tensor:
    """log(p / (1 - p)) of the probability p of class y, from the logits alone, so that p near 1 is no tie.

    Carlini et al. 2022, section on logit scaling. logits [..., N, C], y [N] -> [..., N].
    """
    chosen = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, y.expand(logits.shape[:-1])[..., None], True)
    return logits[chosen].view(logits.shape[:-1]) - logits.masked_fill(chosen, -torch.inf).logsumexp(-1)


def _learned(x: np.ndarray, member: np.ndarray, seed: int) -> np.ndarray:
    """Score [N + M] of every picture by a logistic regression fitted on the other folds.

    Within a fold the scores are replaced by their ranks in [0, 1]: the models of two folds are not on one scale,
    and comparing their scores would push the area below 0.5.
    """
    from scipy.stats import rankdata
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(min(FOLDS, member.sum(), (~member).sum()), shuffle=True, random_state=seed)
    score = np.empty(len(x))
    for fit, judge in folds.split(x, member):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, class_weight="balanced"))
        score[judge] = rankdata(model.fit(x[fit], member[fit]).decision_function(x[judge])) / len(judge)
    return score


def _thinned(fpr: np.ndarray, tpr: np.ndarray) -> dict[str, list[float]]:
    """At most `POINTS` points of a ROC curve, evenly along it, both ends kept."""
    along = np.concatenate([[0], np.cumsum(np.diff(fpr) + np.diff(tpr))])
    if len(along) > POINTS:
        places = np.linspace(0, along[-1], POINTS)
        fpr, tpr = np.interp(places, along, fpr), np.interp(places, along, tpr)
    return {"fpr": fpr.round(4).tolist(), "tpr": tpr.round(4).tolist()}


def lira(target_logits: Tensor, y: Tensor, in_logits: Tensor | None, out_logits: Tensor) -> np.ndarray:
    """How much more the target looks like networks that saw a picture than like those that did not: float64 [N].

    The likelihood ratio attack of Carlini et al. 2022, Algorithm 1, on the scaled confidence φ of the true class:
    online, log N(φ; μ_in, σ_in²) - log N(φ; μ_out, σ_out²), higher: a member. Offline (in_logits None or empty),
    (φ - μ_out) / σ_out: the paper's 1 - Pr[Z > φ] is its normal distribution function, which keeps the order but
    for ties near 1. As an attack on forgetting, the AUC over members and others has the ideal 0.5.

    With fewer than 64 networks on a side its variance is one for all pictures, as the authors advise; they do not
    say how it is put together, here it is the mean of the pictures' unbiased variances.

    target_logits [N, C], y [N], in_logits, out_logits [K, N, C] of shadow networks that were and were not trained on
    the picture; K may differ. Raises WfvizError for fewer than two networks on a side.
    """
    observed = scaled_confidence(target_logits.double(), y)
    out = _gaussian(out_logits, y)
    if in_logits is None or not len(in_logits):
        return ((observed - out.mean) / out.stddev).cpu().numpy()
    return (_gaussian(in_logits, y).log_prob(observed) - out.log_prob(observed)).cpu().numpy()


def _gaussian(logits: Tensor, y: Tensor) -> torch.distributions.Normal:
    """One for every picture, from [K, N, C] logits of K shadow networks."""
    if len(logits) < 2:
        raise WfvizError(f"LiRA needs two shadow networks or more on a side, not {len(logits)}")
    phi = scaled_confidence(logits.double(), y)
    variance = phi.var(0)
    if len(phi) < FEW:
        variance = variance.mean().expand_as(variance)
    return torch.distributions.Normal(phi.mean(0), variance.sqrt().clamp_min(1e-6))
