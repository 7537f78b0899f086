"""RESULTS.md: every stored number in tables, the paper's beside ours. Written by `python -m wfviz results`."""

from __future__ import annotations

from pathlib import Path

from wfviz import checkpoints, comparisons
from wfviz.errors import WfvizError
from wfviz.files import write_atomically
from wfviz.scores import SCORES, Line, Spread, lines, number_at, numbers, prices

TEST_R, TEST_F = ("splits", "test", "acc_r"), ("splits", "test", "acc_f")
ROOTS = ("checkpoints", "comparisons")
NAMES = {"vgg16": "VGG-16", "resnet18": "ResNet-18", "vit_tiny": "ViT-T", "vit_small": "ViT-S", "mnist": "MNIST", "cifar10": "CIFAR-10"}
ARROWS = {"higher": "↑", "lower": "↓"}

# Poppi et al. 2024, Tables 1 and 2 (training split): Acc_r and Acc_f in %, insertion and deletion.
PAPER = {
    ("mnist", "vgg16"): (73.2, 0.0, 0.78, 0.09),
    ("mnist", "resnet18"): (94.0, 9.68, 0.79, 0.05),
    ("mnist", "vit_tiny"): (93.5, 0.0, 0.90, 0.07),
    ("mnist", "vit_small"): (94.0, 0.0, 0.90, 0.08),
    ("cifar10", "vgg16"): (80.2, 18.3, 0.79, 0.10),
    ("cifar10", "resnet18"): (79.7, 9.25, 0.69, 0.06),
    ("cifar10", "vit_tiny"): (73.5, 0.0, 0.88, 0.05),
    ("cifar10", "vit_small"): (74.7, 0.0, 0.88, 0.14),
}

# Luijken & Peeters 2023, Tables 2 and 4 (test split, Adam at 0.05), by frozen blocks: JSD of the original and of the retrained
# network to the one that has forgotten; accuracy of the original, the one that has forgotten, and the retrained.
SOURCE_KGA = {
    ("cifar10", "resnet18"): {"0": (0.030, 0.008, 0.62, 0.10, 0.54), "1": (0.028, 0.008, 0.62, 0.22, 0.53),
                              "12": (0.029, 0.007, 0.62, 0.17, 0.54), "123": (0.021, 0.006, 0.62, 0.32, 0.54)},
    ("cifar10", "vgg11"): {"0": (0.031, 0.004, 0.72, 0.10, 0.47), "1": (0.032, 0.004, 0.72, 0.10, 0.47),
                           "12": (0.032, 0.005, 0.72, 0.10, 0.47), "123": (0.032, 0.005, 0.72, 0.10, 0.47)},
    ("cifar100", "resnet18"): {"0": (0.049, 0.008, 0.31, 0.01, 0.22), "1": (0.024, 0.008, 0.31, 0.02, 0.22),
                               "12": (0.025, 0.006, 0.31, 0.05, 0.22), "123": (0.017, 0.004, 0.31, 0.10, 0.22)},
    ("cifar100", "vgg11"): {"0": (0.013, 0.001, 0.36, 0.01, 0.04), "1": (0.013, 0.001, 0.36, 0.01, 0.04),
                            "12": (0.013, 0.001, 0.36, 0.01, 0.04), "123": (0.013, 0.001, 0.36, 0.01, 0.04)},
}

HEAD = """\
# Results

Written by `python -m wfviz results` from the cards in `checkpoints/` and the comparisons in `comparisons/`; each names the
command and the seed that made it. Accuracies are means over all classes, each forgotten in turn, ± the standard deviation
over classes, with the worst class in brackets; ↑ higher is better, ↓ lower is better.
"""


def write(path: Path, *folders: str | Path) -> None:
    """Write the tables of all checkpoints and comparisons under `folders` (`ROOTS`)."""
    where = folders or ROOTS
    cards = [(folder, checkpoints.read_card(folder)) for folder in checkpoints.find_checkpoints(*where)]
    found = [comparisons.read(folder) for folder in comparisons.find(*where)]
    if not cards and not found:
        raise WfvizError(f"there is neither a checkpoint nor a comparison under {', '.join(map(str, where))}")
    text = "\n".join([HEAD, *_networks(cards), *_paper(cards), *(part for one in found for part in _comparison(one, cards))]).rstrip() + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with a line after it."""
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]) + "\n"


def cell(found: Spread | None, unit: str) -> str:
    """A score as "99.1 % ± 0.3 (98.2 % 8)", or "99.1 %" of a single row; "-" where it was not measured."""
    if found is None:
        return "-"
    if unit == "share":
        if found.n == 1:
            return f"{found.mean:.1%}".replace("%", " %")
        return f"{found.mean:.1%} ± {100 * found.std:.1f} ({found.worst:.1%} {found.worst_class})".replace("%", " %")
    if unit == "seconds":
        return f"{found.mean:.1f} s"
    if unit == "bytes":
        return f"{found.mean / 1024:,.1f} KiB"
    if unit == "epochs":
        return f"{'> ' if found.never else ''}{found.mean:.1f} ({found.never})"
    return f"{found.mean:.3f}" + (f" ± {found.std:.3f}" if found.n > 1 else "")


def _networks(cards: list[tuple[Path, dict]]) -> list[str]:
    head = ["network", "split", "pictures", "original", "Acc_r ↑", "Acc_f ↓", "insertion AUC ↑ (random)", "deletion AUC ↓ (random)"]
    rows, made = [], []
    for folder, card in cards:
        areas = card.get("curves") or {}
        for split, seen in (card.get("metrics") or {}).items():
            both = [f"{seen[k]['mean']:.1%} ± {100 * seen[k]['std']:.1f} ({seen[k]['worst']:.1%} {seen[k]['worst_class']})" for k in ("acc_r", "acc_f")]
            curves = [_area(areas.get(mode)) if split == "test" else "" for mode in ("insertion", "deletion")]
            rows.append([f"`{folder.name}`", split, f"{seen['pictures']:,}", f"{seen['accuracy']:.1%}", *both, *curves])
        made += [f"- `{folder.name}`, seed {card.get('seed', '?')}: `{command}`" for command in checkpoints.commands(card)]
    return ["## WF-Nets\n", table(head, [[c.replace("%", " %") for c in row] for row in rows]), *made, ""] if rows else []


def _area(areas: dict | None) -> str:
    if not areas or "gates" not in areas:
        return "-"
    random = f" ({areas['random']['mean']:.2f})" if "random" in areas else ""
    return f"{areas['gates']['mean']:.2f}{random}"


def _paper(cards: list[tuple[Path, dict]]) -> list[str]:
    """The paper's WF-Nets beside ours, cell by cell; what was not trained says so. Rounds with the paper's own settings have a table of theirs."""
    seen = [card for _, card in cards if (card.get("metrics") or {}).get("train")]
    by_preset = [[card for card in seen if (_round(card).get("name") == "paper") is paper] for paper in (False, True)]
    ours, theirs = ({key: _first(key, of) for key in PAPER} for of in by_preset)
    missing = ["-".join(key) for key, card in ours.items() if not card]
    rows = [_beside(key, card) for key, card in ours.items()]
    words = "The paper reports accuracies on the training split, so does this table; ours on the test split stand above, and our curves are of test pictures."
    if missing:
        words += f' "open" has not been trained: `python -m wfviz reproduce all --cells {missing[0]}` does it, one cell at a time, and `python -m wfviz results checkpoints comparisons runs` shows it.'
    if any(row[1].endswith("*") for row in rows):
        words += " \\* Gates on every layer of the blocks, where the paper has them on qkv alone."
    head = ["data", "backbone", "Acc_r ↑ paper", "ours", "Acc_f ↓ paper", "ours", "insertion ↑ paper", "ours (random)", "deletion ↓ paper", "ours (random)"]
    parts = ["## Beside the paper (Poppi et al. 2024, Tables 1 and 2)\n", f"{words}\n", table(head, rows)]
    if any(theirs.values()):
        same = [[*_beside(key, card), str(_round(card).get("steps", "-"))] for key, card in theirs.items() if card]
        parts += ["The same with the paper's own settings (preset `paper`), for so many steps:\n", table([*head, "steps"], same)]
    return parts


def _round(card: dict) -> dict:
    return card.get("untraining") or {}


def _first(key: tuple[str, str], cards: list[dict]) -> dict:
    """The first network of a cell (data set, backbone); {} where there is none."""
    return next((card for card in cards if ((card.get("data") or {}).get("dataset"), card["backbone"].get("name")) == key), {})


def _beside(key: tuple[str, str], card: dict) -> list[str]:
    """A row: the paper's numbers for a cell, and beside them those of `card`, or "open"."""
    kept, gone, insertion, deletion = PAPER[key]
    areas = card.get("curves") or {}
    own = [f"{card['metrics']['train'][k]['mean']:.1%}".replace("%", " %") for k in ("acc_r", "acc_f")] if card else ["open", "open"]
    more = key[1].startswith("vit") and not all(layer.endswith("qkv") for layer in card.get("layers", ()))
    return [NAMES[key[0]], NAMES[key[1]] + " \\*" * more, f"{kept} %", own[0], f"{gone} %", own[1],
            f"{insertion:.2f}", _area(areas.get("insertion")), f"{deletion:.2f}", _area(areas.get("deletion"))]


def _comparison(found: comparisons.Comparison, cards: list[tuple[Path, dict]]) -> list[str]:
    about = found.about
    head = ["method"] + [f"{s.name} {ARROWS[s.better]}" for s in SCORES]
    rows = [[_title(line), *(cell(line.scores[s.name], s.unit) for s in SCORES)] for line in lines(found, "test")]
    many = numbers(found)
    paid = [[p.title, *(f"{s:,.0f} s" for s in p.seconds), *(f"{b / 1024:,.0f} KiB" for b in p.bytes)] for p in prices(found)]
    relearned = f"relearn: epochs of 500 pictures (Adam at {found.relearn_lr:g}) until the class is known as well as before, at most {found.limit} (in brackets: classes that never were). "
    words = [
        f"`{about.get('command', '')}`, {about.get('machine', '')}; classes forgotten: {', '.join(found.classes[c] for c in about['forget'])}; seeds: "
        f"{', '.join(map(str, about['seeds']))}. Test split.",
        "F1: macro, over the retained classes. JS: Jensen-Shannon divergence to the retrained network. ZRF: Poppi et al. 2024, Eq. 4. "
        f"{relearned if found.limit else ''}attack: AUC of the strongest membership attack. probe: recall of the class by a linear probe on "
        "the features. CKA: to the retrained network.",
    ]
    origin = Path((about.get("original") or {}).get("folder") or "")
    if any(folder.name == origin.name and found.starts_from(card) is False for folder, card in cards):
        words.append(f"The original of these rows is an earlier network than the `{origin.name}` above, so the command gives other numbers with that one.")
    failed = [f"- {row['title']}, {found.classes[row['forget']]}: {row['error']}" for row in found.rows if row["state"] == "failed"]
    price = table(["method", *(f"time for {k}" for k in many), *(f"stored for {k}" for k in many)], paid)
    return [f"## Comparison `{found.name}`: {found.dataset}, {about['backbone'].get('name', '')}\n", "\n\n".join(words) + "\n",
            table(head, rows), *_frozen(found), "What forgetting costs, for so many classes:\n", price, *failed, ""]


def _frozen(found: comparisons.Comparison) -> list[str]:
    """Knowledge gap alignment by frozen blocks, the tables of its source beside ours; nothing where fewer than two were tried."""
    chosen = [(title, row) for method in found.finished if method.partition(".")[0] in ("kga", "kga_seed")
              for title, row in [(found.short(method), found.done(method)[0])] if "freeze" in row["settings"]]
    if len({row["settings"]["freeze"] for _, row in chosen}) < 2:
        return []
    beside = {name: found.done(name) for name in ("original", "retrain")}
    source = SOURCE_KGA.get((found.dataset, found.about["backbone"].get("name", "")), {})
    rows = []
    for title, row in chosen:
        whose = [beside["original"], found.done(row["method"]), beside["retrain"]]
        three = [" / ".join(_mean(rows, what, path) for rows in whose) for what, path in (("share", ("f1",)), ("share", TEST_R), ("share", TEST_F))]
        divergence = [_mean(whose[1], "nats", (key,)) for key in ("js_original", "js")]
        theirs = source.get(row["settings"]["freeze"])
        rows.append([title, row["settings"]["freeze"], *divergence, *three,
                     *([f"{theirs[0]:.3f}, {theirs[1]:.3f}", " / ".join(f"{100 * a:.0f} %" for a in theirs[2:])] if theirs else ["-", "-"])])
    words = (
        "Knowledge gap alignment by frozen blocks. A_D: the original, A*: it has forgotten, A_r: retrained. JSD in nats over all test pictures. Its source (Luijken & "
        "Peeters 2023, Tables 2 and 4) forgets random pictures and not a class, so that A* should be as good as A_r there; its JSD and accuracies are of the test split.\n"
    )
    head = ["method", "frozen", "JSD(A_D, A*)", "JSD(A*, A_r) ↓", "F1 of A_D / A* / A_r", "Acc_r of the three", "Acc_f of the three", "JSDs in the source", "accuracies in the source"]
    return [words, table(head, rows)]


def _mean(rows: list[dict], unit: str, path: tuple[str, ...]) -> str:
    """Mean over rows of what lies at `path`; "-" where it was not measured."""
    values = [value for row in rows if (value := number_at(row, *path)) == value]
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.1%}".replace("%", " %") if unit == "share" else f"{mean:.3f}"


def _title(line: Line) -> str:
    over = f", over-forgets {line.over} of {line.done}" if line.over else ""
    failed = f", {line.failed} failed" if line.failed else ""
    return f"{line.title}{over}{failed}"
