"""Everything that is measured on a network that has forgotten a class, beside the original and the retrained one.

`Judge` looks at the original once; `judge` then takes seconds for every network. What each number means, its
direction and its ideal stand in the module that it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from wfviz.backbones import build
from wfviz.data import Data, Pictures, forget_set, of_classes
from wfviz.metrics.agreement import f1, js_divergence
from wfviz.metrics.cka import linear_cka
from wfviz.metrics.features import features, layers_of
from wfviz.metrics.maps import FeatureMap
from wfviz.metrics.privacy import attacks, curve, lira
from wfviz.metrics.probe import probe
from wfviz.metrics.relearning import harmless_rate, relearn
from wfviz.metrics.zrf import zrf
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec

TRAIN = 5_000  # random training pictures that are classified
PROBED = 2_000  # of them a linear probe is fitted on, and as many test pictures it is judged on
COMPARED = 1_000  # test pictures for CKA
ATTACKED = 1_000  # pictures of the forget set among those, and of the same classes from the test split, at most
FEWEST = 200  # members below which they are taken from the whole training split
OVER = 0.02  # retained accuracy lost beyond which forgetting has gone too far


class Judge:
    """Measures networks that have forgotten classes of `data`.

    original: the network before forgetting, in eval mode. relearn_epochs: limit of the relearn time; 0 leaves it out.
    """

    def __init__(self, original: nn.Module, data: Data, backbone: BackboneSpec, *, relearn_epochs: int = 100, seed: int = 0):
        self.original, self.data, self.backbone, self.relearn_epochs, self.seed = original, data, backbone, relearn_epochs, seed
        one = normalize(data.test.take(torch.tensor([0])), data.inputs).to(next(original.parameters()).device)
        self.layers = layers_of(original, len(data.classes), one)
        self.train = data.train.sample(TRAIN, seed)
        self._kept: tuple[nn.Module, dict[str, Tensor]] | None = None
        shuffled = torch.Generator().manual_seed(seed)  # folders list their pictures class by class
        self.fitted = torch.randperm(len(self.train), generator=shuffled)[:PROBED]
        self.some = torch.randperm(len(data.test), generator=shuffled)[:PROBED]

    def judge(
        self, model: nn.Module, forget: tuple[int, ...], retrained: nn.Module | None = None, *,
        relearned: bool = True, shadows: Sequence[nn.Module] = (), progress: Callable[[float], None] = lambda part: None,
    ) -> dict:
        """The measured part of a row of a comparison (`wfviz.comparing`), ready for JSON; what too few pictures do not allow is left out.

        relearned: also the relearn time. shadows: two networks or more that never saw the classes, for LiRA.
        progress: the part done, in [0, 1].
        """
        test = self._seen(model, self.data.test)
        progress(0.2)
        train = self._seen(model, self.train)
        progress(0.3)
        reference = self._beside(retrained) if retrained is not None else None
        splits = {"test": self._counts(test, self.data.test, forget), "train": self._counts(train, self.train, forget)}
        kept = [c for c in range(len(self.data.classes)) if c not in forget]
        retained = np.array(splits["test"]["confusion"])
        retained[list(forget)] = 0
        probabilities = test["logits"].softmax(1)
        gone = of_classes(self.data.test, forget).cpu()
        row = {
            "splits": splits,
            "f1": f1(retained, kept),
            "js": float(js_divergence(probabilities, reference["logits"].softmax(1)).mean()) if reference else None,
            "js_original": float(js_divergence(probabilities, self.before["logits"].softmax(1)).mean()),
            **({"zrf": zrf(probabilities[gone], self.untrained["logits"].softmax(1)[gone])} if gone.any() else {}),
            **({"attack": attack} if (attack := self._attack(model, train, test, forget, shadows)) else {}),
            "probe": self._probe(train, test, forget),
            "cka": self._cka(test, self.before),
            **({"cka_retrained": self._cka(test, reference)} if reference else {}),
            "map": self.map.points(test[self.layers[-1]]),
            **({"relearn": self._relearn(model, forget, lambda part: progress(0.4 + 0.6 * part))} if self.relearn_epochs and relearned and gone.any() else {}),
            "over_forgetting": splits["test"]["acc_r"] < self._least(reference, forget) - OVER,
        }
        return _plain(row)

    # --- what is looked at once -----------------------------------------------------------------

    @cached_property
    def before(self) -> dict[str, Tensor]:
        """Features by layer and logits of the original on the test split."""
        return self._seen(self.original, self.data.test)

    @cached_property
    def untrained(self) -> dict[str, Tensor]:
        """The same of the randomly initialised network that ZRF compares with."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed)
            return self._seen(build(replace(self.backbone, pretrained=False)).eval().to(next(self.original.parameters()).device), self.data.test)

    @cached_property
    def relearn_lr(self) -> float:
        """One rate of relearning for all networks, that the original survives."""
        return harmless_rate(self.original, self.data, self.seed)

    @cached_property
    def map(self) -> FeatureMap:
        """Where test pictures stand by the original's features ahead of the head."""
        return FeatureMap(self.before[self.layers[-1]], self.data.test.labels.cpu(), self.some, self.seed)

    def _seen(self, model: nn.Module, pictures: Pictures) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in features(model, pictures, self.data.inputs, self.layers, len(self.data.classes)).items()}

    def _beside(self, retrained: nn.Module) -> dict[str, Tensor]:
        """The retrained network on the test split; the last one is kept, as several methods are judged beside it."""
        if self._kept is None or self._kept[0] is not retrained:
            self._kept = (retrained, self._seen(retrained, self.data.test))
        return self._kept[1]

    # --- single numbers -------------------------------------------------------------------------

    def _counts(self, seen: dict[str, Tensor], pictures: Pictures, forget: tuple[int, ...]) -> dict:
        """Confusion matrix (row = true class), Acc_r and Acc_f."""
        n, y = len(self.data.classes), pictures.labels.cpu()
        predicted = seen["logits"].argmax(1)
        right, gone = (predicted == y).float(), of_classes(pictures, forget).cpu()
        confusion = torch.bincount(y * n + predicted, minlength=n * n).view(n, n)
        return {"confusion": confusion.tolist(), "acc_r": float(right[~gone].mean()), "acc_f": float(right[gone].mean())}

    def _least(self, reference: dict[str, Tensor] | None, forget: tuple[int, ...]) -> float:
        """Acc_r of the original or the retrained network, whichever is lower."""
        both = [self.before] + ([reference] if reference else [])
        return min(self._counts(seen, self.data.test, forget)["acc_r"] for seen in both)

    def _attack(self, model: nn.Module, train: dict, test: dict, forget: tuple[int, ...], shadows: Sequence[nn.Module]) -> dict:
        whole = forget_set(self.data.train, forget).sample(ATTACKED, self.seed)
        pairs = [(seen, pictures, of_classes(pictures, forget).cpu().nonzero()[:ATTACKED, 0]) for seen, pictures in ((train, self.train), (test, self.data.test))]
        if len(pairs[0][2]) < min(FEWEST, len(whole)):
            pairs[0] = (self._seen(model, whole), whole, torch.arange(len(whole)))
        (members, y), (others, z) = [(seen["logits"][gone], pictures.labels.cpu()[gone]) for seen, pictures, gone in pairs]
        if min(len(y), len(z)) < 2:
            return {}
        found = attacks(members, y, others, z, seed=self.seed)
        if len(shadows) > 1:
            from sklearn.metrics import roc_auc_score

            out = torch.stack([torch.cat([self._seen(s, pictures.subset(gone))["logits"] for _, pictures, gone in pairs]) for s in shadows])
            score = lira(torch.cat([members, others]), torch.cat([y, z]), None, out)
            member = np.arange(len(score)) < len(y)
            found["lira"] = float(roc_auc_score(member, score))
            if abs(found["lira"] - 0.5) > abs(found[found["curve"]["attack"]] - 0.5):
                found["curve"] = {"attack": "lira", **curve(score, member)}
        return found

    def _probe(self, train: dict, test: dict, forget: tuple[int, ...]) -> dict[str, float]:
        """Recall of the forgotten classes by a linear probe on every layer; nothing where it was fitted, or is judged, without them."""
        y, judged = self.train.labels.cpu()[self.fitted], self.data.test.labels.cpu()[self.some]
        there, found = [c for c in forget if (y == c).any() and (judged == c).any()], {}
        if not there:
            return found
        for layer in self.layers:
            recall = probe(train[layer][self.fitted], y, test[layer][self.some], judged, seed=self.seed)
            found[layer] = float(np.mean([recall[c] for c in there]))
        return found

    def _cka(self, seen: dict, other: dict) -> dict[str, float]:
        some = self.some[:COMPARED]
        return {layer: linear_cka(seen[layer][some], other[layer][some]) for layer in self.layers}

    def _relearn(self, model: nn.Module, forget: tuple[int, ...], progress: Callable[[float], None]) -> dict:
        gone = of_classes(self.data.test, forget)
        judged = self.data.test.subset(gone.nonzero()[:, 0])
        right = (self.before["logits"].argmax(1) == self.data.test.labels.cpu())[gone.cpu()]
        goal = int(right.sum()) / len(right)  # as `relearn` counts, to the last bit
        how = {"epochs": self.relearn_epochs, "lr": self.relearn_lr, "seed": self.seed, "progress": progress}
        found = relearn(model, self.data.train, judged, forget, self.data.inputs, goal=goal, **how)
        return {"epochs": found.epochs, "goal": goal, "lr": self.relearn_lr, "accuracy": [round(a, 4) for a in found.accuracy]}


def _plain(value: object) -> object:
    """For JSON: numbers of numpy and torch as Python's, what is not finite as None."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else round(value, 6) if isinstance(value, float) else value
