"""How deep can gates forget? The front between the probe's recall, Acc_r and Acc_f, for different ideas.

    python -m benchmarks.deep --dataset cifar10 --backbone cnn --from runs/cifar10-cnn --out deep.jsonl [--only NAME ...]
    python -m benchmarks.deep --table deep.jsonl

Every trial learns gates for all classes around the same frozen classifier, one class a step, with an extra term on the
penultimate features of the forgotten class, and is judged on the validation split: Acc_r, Acc_f, and the recall of the
forgotten class by a linear probe (`wfviz/metrics/probe.py`, fitted on training pictures with the class's gates closed).
The references, the original and (`--retrained N`) networks trained without the first N classes, are judged alike.
Slow and obvious on purpose: weights are masked class by class, so that a gate may sit on filters, on inputs or on
single weights. The trials are listed in `TRIALS`.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from wfviz import checkpoints, methods
from wfviz.backbones import recipe
from wfviz.data import Data, forget_set, load_data, retain_set
from wfviz.deep import separability
from wfviz.filtering.choice import choose_layers, find_head
from wfviz.metrics.probe import probe
from wfviz.objective import teacher
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec
from wfviz.training import batch_indices, cosine, set_lr


@dataclass(frozen=True)
class Trial:
    name: str
    term: str = "none"  # none, pull, moments, mmd, probe
    weight: float = 0.0
    gates: str = "filters"  # filters (output channels), inputs (and outputs), weights (every single one)
    layers: tuple[str, ...] | None = None  # patterns; None: as the backbone's recipe says
    rows: int = 1  # rows a class, one drawn for every picture
    steps: int = 800
    lr: float = 0.3
    retain: str = "labels"  # labels, or teacher: the original with the class's logit masked
    lambda_retain: float = 1.0
    lambda_forget: float = 1.0
    lambda_gates: float = 1.0


TRIALS = (
    Trial("output only"),
    Trial("pull 0.3", "pull", 0.3), Trial("pull 3", "pull", 3.0),
    Trial("moments 0.3", "moments", 0.3), Trial("moments 3", "moments", 3.0),
    Trial("mmd 3", "mmd", 3.0), Trial("mmd 10", "mmd", 10.0),
    Trial("probe 0.3", "probe", 0.3), Trial("probe 1", "probe", 1.0), Trial("probe 3", "probe", 3.0),
    Trial("probe 1, inputs too", "probe", 1.0, gates="inputs"),
    Trial("probe 1, every weight", "probe", 1.0, gates="weights"), Trial("probe 3, every weight", "probe", 3.0, gates="weights"),
    Trial("probe 1, two rows", "probe", 1.0, rows=2),
    Trial("probe 1, convolutions", "probe", 1.0, layers=("conv*",)), Trial("probe 1, linear", "probe", 1.0, layers=("fc1", "fc2")),
    Trial("teacher", retain="teacher"), Trial("teacher 10", retain="teacher", lambda_retain=10.0),
    Trial("probe 1, teacher 3", "probe", 1.0, retain="teacher", lambda_retain=3.0),
    Trial("probe 1, teacher 10", "probe", 1.0, retain="teacher", lambda_retain=10.0),
    Trial("probe 3, teacher 10", "probe", 3.0, retain="teacher", lambda_retain=10.0),
    Trial("mmd 3, teacher 10", "mmd", 3.0, retain="teacher", lambda_retain=10.0),
    Trial("probe 3, teacher 10, every weight", "probe", 3.0, gates="weights", retain="teacher", lambda_retain=10.0),
    Trial("probe 1, few closed", "probe", 1.0, lambda_gates=10.0), Trial("probe 1, any closed", "probe", 1.0, lambda_gates=0.0),
)


class Gates:
    """α of every class (and row) for a network's layers, and the parameters with one row's gates multiplied in."""

    def __init__(self, model: nn.Module, n_classes: int, trial: Trial, layers: tuple[str, ...] | None):
        self.model, self.trial = model, trial
        self.alphas = [[self._row(choose_layers(model, n_classes, trial.layers or layers)) for _ in range(trial.rows)] for _ in range(n_classes)]
        self.optimizers = [[torch.optim.Adam(row.values(), trial.lr) for row in rows] for rows in self.alphas]

    def _row(self, layers: tuple[str, ...]) -> dict[str, Tensor]:
        row = {}
        for name in layers:
            layer = self.model.get_submodule(name)
            one = [1] * (layer.weight.ndim - 2)
            shapes = {"filters": [(layer.weight.shape[0], 1, *one)], "weights": [tuple(layer.weight.shape)],
                      "inputs": [(layer.weight.shape[0], 1, *one), (1, layer.weight.shape[1], *one)]}[self.trial.gates]
            row |= {f"{name}.weight.{i}": torch.full(shape, 3.0, requires_grad=True) for i, shape in enumerate(shapes)}
            if layer.bias is not None:
                row[f"{name}.bias.0"] = torch.full(layer.bias.shape, 3.0, requires_grad=True)
        return row

    def masked(self, c: int, r: int) -> dict[str, Tensor]:
        found = {}
        for key, alpha in self.alphas[c][r].items():
            name = key.rpartition(".")[0]
            found[name] = found.get(name, self.model.get_parameter(name).detach()) * torch.sigmoid(alpha)
        return found

    def mean(self, c: int, r: int) -> Tensor:
        row = self.alphas[c][r].values()
        return sum(torch.sigmoid(a).sum() for a in row) / sum(a.numel() for a in row)

    def closed(self) -> float:
        """Share of the gates below 0.5."""
        every = torch.cat([a.detach().flatten() for rows in self.alphas for row in rows for a in row.values()])
        return float((every < 0).float().mean())


class Net:
    """A classifier whose penultimate features come with its logits."""

    def __init__(self, model: nn.Module, n_classes: int):
        self.model, self.seen = model.eval().requires_grad_(False), None
        model.get_submodule(find_head(model, n_classes)).register_forward_pre_hook(self._keep)

    def _keep(self, _module, given) -> None:
        self.seen = given[0].flatten(1)

    def __call__(self, x: Tensor, parameters: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        logits = functional_call(self.model, parameters or {}, (x,))
        return logits, self.seen


# --- terms: features of the forgotten class [N, D], of retained classes [M, D] with their labels, teacher [N + M, C] -> a loss ---


def pull(gone: Tensor, kept: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
    """Every forgotten picture to the mean of the retained class that the original takes it for when its own is masked."""
    scale = kept.var(0).mean().detach() + 1e-6
    there = [c for c in labels.unique().tolist()]
    means = {c: kept[labels == c].mean(0).detach() for c in there}
    nearest = target[: len(gone)].argmax(1).tolist()
    chosen = [i for i, c in enumerate(nearest) if c in means]
    goal = torch.stack([means[nearest[i]] for i in chosen])
    return ((gone[chosen] - goal) ** 2).mean() / scale


def moments(gone: Tensor, kept: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
    """Mean and variance of every feature, alike."""
    scale = kept.var(0).mean().detach() + 1e-6
    return ((gone.mean(0) - kept.mean(0)) ** 2).mean() / scale + ((gone.std(0) - kept.std(0)) ** 2).mean() / scale


def mmd(gone: Tensor, kept: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
    """Squared maximum mean discrepancy with Gaussian kernels around the median distance (Gretton et al. 2012)."""
    both = torch.cat([gone, kept])
    distance = torch.cdist(both, both) ** 2
    median = distance.detach().median() + 1e-6
    kernel = sum(torch.exp(-distance / (median * s)) for s in (0.25, 1.0, 4.0)) / 3
    n = len(gone)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def ridge(gone: Tensor, kept: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
    """R² of the best linear probe of "is it the class?" on this batch, in closed form: a probe in the loop."""
    return 1 - torch.exp(-2 * separability(gone, kept))


TERMS = {"pull": pull, "moments": moments, "mmd": mmd, "probe": ridge}


# --- learning and judging -----------------------------------------------------------------------


def learn(net: Net, data: Data, trial: Trial, layers, seed: int = 0, half: int = 64, chi: int = 2) -> Gates:
    """Gates of all classes: every step takes one class, `half` of its pictures and χ times as many others."""
    torch.manual_seed(seed)
    n_classes = len(data.classes)
    gates = Gates(net.model, n_classes, trial, layers)
    parts = [(forget_set(data.train, (c,)), retain_set(data.train, (c,))) for c in range(n_classes)]
    for step in range(trial.steps):
        c, place = step % n_classes, step // n_classes
        r = place % trial.rows
        gone, kept = parts[c]
        first, second = batch_indices(len(gone), half, seed, place), batch_indices(len(kept), half * chi, seed, place)
        x = normalize(torch.cat([gone.take(first), kept.take(second)]), data.inputs)
        y = kept.labels[second]
        n = len(first)
        with torch.no_grad():
            target = teacher(net(x)[0], torch.full((len(x),), c)) if trial.retain == "teacher" or trial.term == "pull" else None
        logits, features = net(x, gates.masked(c, r))
        ce = F.cross_entropy(logits, torch.cat([torch.full((n,), c), y]), reduction="none")
        kept_loss = ce[n:] if trial.retain == "labels" else F.kl_div(logits[n:].log_softmax(1), target[n:], reduction="none").sum(1)
        loss = trial.lambda_retain * kept_loss.mean() + trial.lambda_forget * (1 / (ce[:n] + 0.1)).mean() + trial.lambda_gates * (1 - gates.mean(c, r))
        if trial.term != "none":
            loss = loss + trial.weight * TERMS[trial.term](features[:n], features[n:], y, target)
        opt = gates.optimizers[c][r]
        set_lr(opt, trial.lr * cosine(step, trial.steps))
        opt.zero_grad()
        loss.backward()
        opt.step()
    return gates


@torch.no_grad()
def seen(net: Net, pictures, inputs, rows: list[dict] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, features and labels of pictures; several rows take turns."""
    logits, features, labels = [], [], []
    for number, indices in enumerate(torch.arange(len(pictures)).split(64)):
        a, b = net(normalize(pictures.take(indices), inputs), rows[number % len(rows)] if rows else None)
        logits.append(a), features.append(b), labels.append(pictures.labels[indices])
    return torch.cat(logits), torch.cat(features), torch.cat(labels)


def judged(net: Net, data: Data, c: int, rows: list[dict] | None, few) -> dict:
    """Acc_r, Acc_f on the validation split and the probe's recall of class c."""
    logits, features, y = seen(net, data.val, data.inputs, rows)
    _, learned, learned_y = seen(net, few, data.inputs, rows)
    right = (logits.argmax(1) == y).float()
    return {"acc_r": float(right[y != c].mean()), "acc_f": float(right[y == c].mean()), "probe": float(probe(learned, learned_y, features, y)[c])}


def mean(found: list[dict]) -> dict:
    return {key: round(float(np.mean([one[key] for one in found])), 4) for key in found[0]}


def table(path: Path) -> str:
    """The lines of a file in Markdown, in percent."""
    rows = ["| trial | Acc_r ↑ | Acc_f ↓ | probe ↓ | closed |", "|---|---|---|---|---|"]
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        closed = f"{100 * line['closed']:.1f}" if "closed" in line else ""
        rows.append(f"| {line['name']} | " + " | ".join(f"{100 * line[key]:.1f}" for key in ("acc_r", "acc_f", "probe")) + f" | {closed} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, metavar="FILE", help="print what is in FILE, and do nothing else")
    parser.add_argument("--dataset")
    parser.add_argument("--backbone")
    parser.add_argument("--from", dest="source", metavar="DIR")
    parser.add_argument("--data-root")
    parser.add_argument("--out", type=Path, help="JSON lines, appended to; what is there is not done again")
    parser.add_argument("--only", nargs="*", default=["*"], help="names or patterns of trials")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--retrained", type=int, default=0, metavar="N", help="judge networks retrained without each of the first N classes")
    parser.add_argument("--epochs", type=int, default=0, help="of the retraining")
    args = parser.parse_args()
    if args.table:
        return print(table(args.table))
    if not (args.dataset and args.backbone and args.source and args.out):
        parser.error("--dataset, --backbone, --from and --out are needed")
    data = load_data(args.dataset, args.data_root)
    backbone = BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size)
    load = lambda: checkpoints.load_backbone(args.source, backbone)  # noqa: E731
    net, classes, few = Net(load(), len(data.classes)), range(len(data.classes)), data.train.sample(5000)
    done = {json.loads(line)["name"] for line in args.out.read_text().splitlines()} if args.out.exists() else set()

    def told(name: str, start: float, found: list[dict], **more) -> None:
        line = {"name": name, **mean(found), "by_class": found, "seconds": round(time.perf_counter() - start, 1), **more}
        with open(args.out, "a") as file:
            file.write(json.dumps(line) + "\n")
        print({k: v for k, v in line.items() if k != "by_class" and k != "trial"}, flush=True)

    if "original" not in done:
        told("original", time.perf_counter(), [judged(net, data, c, None, few) for c in classes])
    for trial in TRIALS:
        trial = replace(trial, steps=args.steps or trial.steps)
        if trial.name in done or not any(fnmatchcase(trial.name, pattern) for pattern in args.only):
            continue
        start = time.perf_counter()
        gates = learn(net, data, trial, recipe(args.backbone).layers)
        with torch.no_grad():
            rows = [[gates.masked(c, r) for r in range(trial.rows)] for c in classes]
        told(trial.name, start, [judged(net, data, c, rows[c], few) for c in classes], closed=round(gates.closed(), 4), trial=asdict(trial))
    found = []
    for c in range(args.retrained) if "retrained" not in done else ():
        start, retrain = time.perf_counter(), methods.get("retrain")
        anew = retrain.run(load(), (c,), data, retrain.spec(0, backbone, epochs=args.epochs))
        found.append(judged(Net(anew, len(data.classes)), data, c, None, few))
    if found:
        told("retrained", start, found)


if __name__ == "__main__":
    main()
