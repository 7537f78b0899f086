"""Which settings untrain best? Variations of two losses, one at a time, judged on the validation split.

    python -m benchmarks.search --dataset digits --backbone cnn --from checkpoints/digits-cnn --out search.jsonl [--only NAME ...]
    python -m benchmarks.search ... --try lambda_forget=0.1,lambda_gates=0.01 lambda_forget=0.2 --set steps=300,expansion=1 --curves 20

Every line of the file is one variation: Acc_r and Acc_f over all classes (mean and worst), the change of Acc_r against
the original (mean and worst), the share of gates below 0.5 ("closed"), the share between 0.05 and 0.95 ("middle"),
with `--curves` the areas under insertion and deletion (mean over the classes), and the seconds of the round. The test
split is never looked at. Lines that are there already are not done again.

    python -m benchmarks.search --table search.jsonl        # prints them as a table
"""

import argparse
import json
import tempfile
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch

from wfviz import checkpoints
from wfviz.data import load_data
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import evaluate, summary
from wfviz.metrics.curves import MODES, curves
from wfviz.specs import BackboneSpec, UntrainSpec
from wfviz.substitutes import learning_data
from wfviz.training import make_accelerator
from wfviz.untraining import spec_for, untrain

FIRST = {"forget_loss": "reciprocal", "retain_loss": "labels", "lambda_middle": 0.0}  # the paper's loss
TEACHER = {"forget_loss": "teacher", "retain_loss": "teacher", "lambda_middle": 0.0}
AROUND_FIRST: dict[str, dict] = {
    "reciprocal": {},
    "lr 0.03": {"lr": 0.03}, "lr 0.3": {"lr": 0.3}, "AdamW": {"optimizer": "adamw"}, "SGD, rate 10": {"optimizer": "sgd", "lr": 10.0},
    "constant rate": {"schedule": "constant"},
    "λ1 = 0.1": {"lambda_forget": 0.1}, "λ1 = 0.3": {"lambda_forget": 0.3}, "λ1 = 3": {"lambda_forget": 3.0},
    "ε = 0.01": {"epsilon": 0.01}, "ε = 1": {"epsilon": 1.0},
    "χ = 1": {"expansion": 1}, "χ = 6": {"expansion": 6},
    "λ2 = 0.1": {"lambda_gates": 0.1}, "λ2 = 3": {"lambda_gates": 3.0}, "λ2 = 10": {"lambda_gates": 10.0},
    "λ3 = 0.3": {"lambda_middle": 0.3}, "λ3 = 1": {"lambda_middle": 1.0},
    "start 1": {"alpha_start": 1.0}, "start 5": {"alpha_start": 5.0},
    "300 steps": {"steps": 300}, "1200 steps": {"steps": 1200},
    "convolutions only": {"layers": ("conv*",)}, "linear only": {"layers": ("fc1", "fc2")},
    "unlikelihood": {"forget_loss": "unlikelihood"}, "teacher forgets": {"forget_loss": "teacher"},
    "teacher retains": {"retain_loss": "teacher"}, "teacher retains, unlikelihood": {"retain_loss": "teacher", "forget_loss": "unlikelihood"},
}
AROUND_TEACHER: dict[str, dict] = {
    "teacher, both": {}, "teacher, start 5": {"alpha_start": 5.0}, "teacher, lr 0.3": {"lr": 0.3},
    "teacher, λ1 = 3": {"lambda_forget": 3.0}, "teacher, λ2 = 3": {"lambda_gates": 3.0}, "teacher, λ3 = 0.3": {"lambda_middle": 0.3},
    "teacher, λ1 = 2, λ3 = 0.3": {"lambda_forget": 2.0, "lambda_middle": 0.3}, "teacher, λ1 = 3, λ3 = 0.3": {"lambda_forget": 3.0, "lambda_middle": 0.3},
    "teacher, λ1 = 10, λ3 = 0.3": {"lambda_forget": 10.0, "lambda_middle": 0.3},
    "teacher, λ1 = 10, λ3 = 0.3, 300 steps": {"lambda_forget": 10.0, "lambda_middle": 0.3, "steps": 300},
    "teacher, λ1 = 10, λ3 = 0.3, lr 0.2": {"lambda_forget": 10.0, "lambda_middle": 0.3, "lr": 0.2},
    "teacher, λ1 = 2, λ3 = 0.3, lr 0.2": {"lambda_forget": 2.0, "lambda_middle": 0.3, "lr": 0.2},
    "teacher, 300 steps": {"steps": 300}, "teacher, 1200 steps": {"steps": 1200},
}
VARIATIONS = {k: {**FIRST, **v} for k, v in AROUND_FIRST.items()} | {k: {**TEACHER, **v} for k, v in AROUND_TEACHER.items()}

FIELDS = {field.name for field in fields(UntrainSpec)} - {"name", "seed", "learn_from", "precision"}


def shares(net: WFNet) -> dict[str, float]:
    """Of all gates, those below 0.5 and those between 0.05 and 0.95."""
    every = torch.cat([g.flatten() for kinds in net.gates().values() for g in kinds.values()])
    return {"closed": float((every < 0.5).float().mean()), "middle": float(((every > 0.05) & (every < 0.95)).float().mean())}


def table(path: Path) -> str:
    """The lines of a file in Markdown, in percent and percentage points; areas as they are."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    areas = [mode for mode in MODES if any(mode in line for line in lines)]
    heads = ["variation", "Acc_r against the original ↑ (worst class)", "Acc_f ↓ (worst class)", "closed", "halfway"]
    heads += [f"{mode} {'↑' if mode == 'insertion' else '↓'}" for mode in areas] + ["seconds"]
    rows = [heads, ["---"] * len(heads)]
    for line in lines:
        percent = {k: 100 * v for k, v in line.items() if isinstance(v, float)}
        row = [line["name"], f"{percent['acc_r_change']:+.2f} ({percent['acc_r_change_worst']:+.2f})", f"{percent['acc_f']:.2f} ({percent['acc_f_worst']:.2f})"]
        row += [f"{percent['closed']:.1f}", f"{percent['middle']:.1f}"]
        rows.append(row + [f"{line[mode]:.3f}" if mode in line else "" for mode in areas] + [f"{line['seconds']:.0f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def changes(text: str) -> dict:
    """{"lambda_forget": 0.1, "retain_loss": "teacher"} of "lambda_forget=0.1,retain_loss=teacher"; layers=*.qkv+*.fc1 names several."""
    found = {}
    for key, equals, value in (part.partition("=") for part in text.split(",") if part):
        if not equals or key not in FIELDS:
            raise argparse.ArgumentTypeError(f"{key!r} of {text!r} is none of {', '.join(sorted(FIELDS))}, each written NAME=VALUE")
        try:
            found[key] = tuple(value.split("+")) if key == "layers" else json.loads(value)
        except ValueError:
            found[key] = value
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, metavar="FILE", help="print what is in FILE, and do nothing else")
    parser.add_argument("--dataset")
    parser.add_argument("--backbone")
    parser.add_argument("--from", dest="source", metavar="DIR")
    parser.add_argument("--data-root")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=["*"], help="names or patterns of variations")
    parser.add_argument("--try", dest="tried", nargs="+", type=lambda text: (text, changes(text)), metavar="NAME=VALUE,...", help="own variations of the preset `default`, in place of the named ones")
    parser.add_argument("--set", dest="common", type=changes, default={}, metavar="NAME=VALUE,...", help="what all variations have in common")
    parser.add_argument("--limit", type=int, metavar="N", help="judge on N random pictures of the validation split (default: all)")
    parser.add_argument("--curves", type=int, default=0, metavar="N", help="insertion and deletion over N pictures a class of the validation split (0: none)")
    parser.add_argument("--learn-from", default="train", help="as in `wfviz untrain`; the validation split still judges")
    parser.add_argument("--precision", default="auto", help="as in `wfviz untrain`")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    if args.table:
        return print(table(args.table))
    if not (args.dataset and args.backbone and args.source and args.out):
        parser.error("--dataset, --backbone, --from and --out are needed")
    data = load_data(args.dataset, args.data_root)
    backbone = BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size)
    variations = dict(args.tried) if args.tried else VARIATIONS
    accelerator = make_accelerator(precision=args.precision)
    data = data.to(accelerator.device)
    done = {(line["name"], line["seed"]) for line in map(json.loads, args.out.read_text().splitlines())} if args.out.exists() else set()
    for name, changed in variations.items():
        for seed in range(args.seeds):
            if (name, seed) in done or not any(fnmatchcase(name, pattern) for pattern in args.only):
                continue
            spec = spec_for(args.backbone, "default", **{**args.common, **changed, "precision": args.precision, "seed": seed})
            plain = checkpoints.load_backbone(args.source, backbone)
            net = WFNet(plain, len(data.classes), spec.layers, classes=data.classes, inputs=data.inputs, alpha_start=spec.alpha_start)
            learned = learning_data(data, args.learn_from, net.to(accelerator.device).eval(), args.data_root, seed)
            with tempfile.TemporaryDirectory() as folder:
                about = untrain(net, learned, spec, Path(folder), accelerator, show=False)
            if about["state"] == "interrupted":
                raise SystemExit(130)
            found = summary(evaluate(net.requires_grad_(False).eval(), data.val.sample(args.limit), "val"), "val", data.classes)
            line = {"name": name, "seed": seed, "seconds": about["seconds"], "best_step": about["best_step"], **shares(net)}
            for key in ("acc_r", "acc_f", "acc_r_change"):
                line |= {key: found[key]["mean"], f"{key}_worst": found[key]["worst"]}
            if args.curves:
                areas = curves(net, data.val, per_class=args.curves, orders=("gates",))
                line |= {mode: float(np.nanmean(areas.auc(mode))) for mode in MODES}
            line = {k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()}
            with open(args.out, "a") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
