"""The audit report: one HTML file that opens anywhere, offline, without a script in it.

Everything comes from the checkpoint's own files, so whoever holds the folder can make the same report again.
"""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.resources import files as package_files
from itertools import pairwise
from pathlib import Path

import numpy as np

from wfviz import checkpoints
from wfviz.errors import WfvizError
from wfviz.figures import sentences
from wfviz.figures.style import called, percent, points
from wfviz.metrics.accuracy import Evaluation, acc_f, acc_r, per_class_accuracy
from wfviz.metrics.curves import Curves
from wfviz.relations import top_filters

MOST_CELLS = 30  # classes up to which matrices are printed whole
ORDER_STYLES = {"gates": ("after", ""), "activation": ("quiet", "6 3"), "weight norm": ("quiet", "2 3"), "random": ("quiet", "")}

DEFINITIONS = (
    ("Accuracy", "higher is better", "Pictures that the original network, with nothing forgotten, classifies correctly."),
    ("Acc_r", "higher is better, ideal: the original's", "Accuracy on the pictures of all classes but the forgotten one."),
    ("Acc_f", "lower is better, ideal: 0", "Accuracy on the pictures of the forgotten class."),
    ("Change", "ideal: 0", "Acc_r minus the original network's accuracy on the same pictures, in percentage points."),
    ("Insertion AUC", "higher is better, ideal: 1", "Start with the class forgotten and open its gates again, most closed first; area "
     "under the class's probability, divided by the original's, over the part of filters opened."),
    ("Deletion AUC", "lower is better, ideal: 0", "Start with the original network and close filters in the same order; area as above."),
    ("Controls", "to be beaten", "The same number of filters in another order: at random, by weight norm, by how strongly they respond."),
    ("Gate", "0 closed, 1 open", "sigmoid(α), one for every class and filter; closing it silences the filter while the class is forgotten."),
)  # fmt: skip


def make_report(folder: str | Path, forgotten: Sequence[int] = ()) -> str:
    """The report of a checkpoint as one HTML document; it begins with the classes `forgotten`, by index.

    Raises WfvizError where its evaluation is missing.
    """
    card, evaluation, gates = checkpoints.read_card(folder), checkpoints.read_evaluation(folder), checkpoints.read_gates(folder)
    try:
        curves = checkpoints.read_curves(folder)
    except WfvizError:
        curves = None
    classes = [str(c) for c in card["classes"]]
    split = "test" if "test" in evaluation.splits else evaluation.splits[0]
    parts = [
        _head(card, folder),
        *([_section("What was forgotten", *_forgotten(evaluation, split, classes, gates, curves, forgotten))] if forgotten else []),
        _section("How well is each class forgotten?", _numbers(card), _classes(evaluation, split, classes, gates)),
        _section("What does forgetting one class cost the others?", *_collateral(evaluation, split, classes)),
        _section("What is it taken for instead?", *_confusions(evaluation, split, classes)),
        _section("Which filters hold which class?", *_filters(gates, classes)),
        _section("How much of a class do these filters carry?", *_curves(curves, folder)),
        _section("Definitions", _table(("term", "good direction", "meaning"), DEFINITIONS)),
        _section("How it was made, and how to check it", *_making(card, folder, forgotten)),
    ]
    style = (package_files("wfviz") / "report.css").read_text(encoding="utf-8")
    title = html.escape(f"Forgetting report: {card['name']}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>\n'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


# --- sections -----------------------------------------------------------------------------------


def _head(card: dict, folder: str | Path) -> str:
    backbone, data = card["backbone"].get("name"), (card.get("data") or {}).get("dataset", "unknown data")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<h1>Forgetting report: {html.escape(card['name'])}</h1>"
        f"<p>{html.escape(str(backbone))} on {html.escape(str(data))}, {len(card['classes']):,} classes; made {now} "
        f"from <code>{html.escape(Path(folder).name)}</code>.</p>"
        '<p class="scope"><strong>Behaves as if it had forgotten. The weights are unchanged.</strong> Gates silence filters '
        "while a class is forgotten; with the gates open the class is back at once. This report says what the network "
        "still recognises, not what its weights still contain.</p>"
    )


def _forgotten(
    evaluation: Evaluation, split: str, classes: Sequence[str], gates: dict, curves: Curves | None, forgotten: Sequence[int]
) -> Iterable[str]:
    """The classes in question, each forgotten alone: in words, with its gates and its curves beside the control."""
    counts, correct = evaluation.counts[split], evaluation.correct[split]
    total = sum(kinds["weight"].shape[1] for kinds in gates.values())
    if len(forgotten) > 1:
        yield _p(
            f"{sentences.named(classes, forgotten)} were forgotten together: their gates multiply. What is stored, and stands "
            "here, is each of them forgotten alone."
        )
    for c in forgotten:
        said = sentences.forgetting(classes, counts, correct[0], correct[1 + c], c)
        yield f"<h3>{html.escape(classes[c])}</h3>" + _p(f"{said} {sentences.taken_for(classes, evaluation.taken_for[split][c], c)}")
        closed = sum(int((kinds["weight"][c] < 0.5).sum()) for kinds in gates.values())
        told = f"{closed:,} of {total:,} gates are under 0.5."
        for mode, ideal in (("insertion", 1), ("deletion", 0)) if curves is not None else ():
            orders = getattr(curves, mode)
            areas = {order: float(np.mean(curves.auc(mode, order)[:, c])) for order in orders}
            if not np.isfinite(areas["gates"]):
                continue
            others = ", ".join(f"{order} {area:.3f}" for order, area in areas.items() if order != "gates")
            told += f" {mode.capitalize()} AUC {areas['gates']:.3f} (ideal {ideal}{'; controls: ' + others if others else ''})."
        yield _p(told)


def _numbers(card: dict) -> str:
    def cell(m: dict) -> str:
        return f"{percent(m['mean'])} ± {100 * m['std']:.1f}" + worst(m, percent)

    def worst(m: dict, say) -> str:
        """Where all are alike there is none."""
        return f", worst {html.escape(called(m['worst_class']))}: {say(m['worst'])}" if say(m["worst"]) != say(m["mean"]) else ""

    rows = []
    for split, m in (card.get("metrics") or {}).items():
        change = m.get("acc_r_change")
        told = "" if change is None else points(change["mean"]) + worst(change, points)
        rows.append((split, f"{m['pictures']:,}", percent(m["accuracy"]), cell(m["acc_r"]), cell(m["acc_f"]), told))
    head = ("split", "pictures", "accuracy ↑", "Acc_r ↑ (mean ± std over classes)", "Acc_f ↓", "change (points)")
    return _table(head, rows, escape=False)


def _classes(evaluation: Evaluation, split: str, classes: Sequence[str], gates: dict) -> str:
    accuracy, counts = per_class_accuracy(evaluation, split), evaluation.counts[split]
    kept, gone = acc_r(evaluation, split), acc_f(evaluation, split)
    closed = sum((kinds["weight"] < 0.5).sum(1) for kinds in gates.values())
    total = sum(kinds["weight"].shape[1] for kinds in gates.values())
    rows = []
    for c, name in enumerate(classes):
        if not counts[c]:
            rows.append((name, "0", *["no pictures"] * 5, f"{closed[c]:,} of {total:,}"))
            continue
        change = accuracy[1 + c] - accuracy[0]
        change[c] = np.nan
        hit = int(np.argmin(np.nan_to_num(change, nan=np.inf)))
        harmed = f"{called(classes[hit])} {points(change[hit])}" if change[hit] < 0 else "none"
        rows.append((
            name, f"{counts[c]:,}", percent(accuracy[0, c]), percent(gone[c]), percent(kept[c]),
            harmed, _most(evaluation.taken_for[split][c], classes), f"{closed[c]:,} of {total:,}",
        ))  # fmt: skip
    head = ("forgotten", "pictures", "before", "Acc_f ↓", "Acc_r ↑", "hit hardest (points)", "now taken for", "gates under 0.5")
    return f"<p>Every class forgotten in turn, on the {split} split.</p>" + _table(head, rows)


def _collateral(evaluation: Evaluation, split: str, classes: Sequence[str]) -> Iterable[str]:
    accuracy = per_class_accuracy(evaluation, split)
    change = accuracy[1:] - accuracy[0]
    yield _p(sentences.collateral(classes, change))
    if len(classes) <= MOST_CELLS:
        yield _heat(change, classes, classes, "forgotten ↓, change of ➝", points, signed=True)
        return
    others = change.copy()
    np.fill_diagonal(others, np.inf)
    order = np.argsort(np.where(np.isfinite(others), others, np.inf), axis=None)[:MOST_CELLS]
    rows = [(classes[i], classes[j], points(change[i, j])) for i, j in zip(*np.unravel_index(order, change.shape), strict=True)]
    yield _table(("forgotten", "hit", "change (points)"), rows)


def _confusions(evaluation: Evaluation, split: str, classes: Sequence[str]) -> Iterable[str]:
    confusion = evaluation.confusion.get(split)
    if confusion is None or len(classes) > MOST_CELLS:
        taken = evaluation.taken_for[split]
        yield _table(("forgotten", "now taken for"), [(name, _most(taken[c], classes)) for c, name in enumerate(classes)])
        return
    totals = np.maximum(confusion[0].sum(1, keepdims=True), 1)
    yield "<p>Rows are true classes, columns what the network says, in percent of the row.</p><h3>Nothing forgotten</h3>"
    yield _heat(confusion[0] / totals, classes, classes, "true ↓, said ➝", percent)
    for c, name in enumerate(classes):
        yield f"<details><summary>{html.escape(name)} forgotten: {html.escape(_most(evaluation.taken_for[split][c], classes))}</summary>"
        yield _heat(confusion[1 + c] / totals, classes, classes, "true ↓, said ➝", percent) + "</details>"


def _filters(gates: dict, classes: Sequence[str], k: int = 10) -> Iterable[str]:
    yield _p(f"The {k} most closed filters of every class and layer (Figure 3 of Poppi et al. 2024); shared ones are in bold.")
    for layer, kinds in gates.items():
        tops = top_filters(kinds["weight"], k)
        users: dict[int, int] = {}
        for row in tops:
            for f, _ in row:
                users[f] = users.get(f, 0) + 1
        rows = []
        for name, row in list(zip(classes, tops, strict=True))[:100]:
            told = (f"<b>#{f}</b>" if users[f] > 1 else f"#{f}" for f, _ in row)
            rows.append((html.escape(name), " ".join(told), f"{np.mean([closed for _, closed in row]):.2f}"))
        shared = sum(n > 1 for n in users.values())
        yield f"<details><summary>{html.escape(layer)}: {shared} of {len(users)} stand for more than one class</summary>"
        yield _table(("class", "filters", "mean of 1 − gate"), rows, escape=False) + "</details>"


def _curves(curves: Curves | None, folder: str | Path) -> Iterable[str]:
    if curves is None:
        yield _p(f"Not measured yet: python -m wfviz evaluate {shlex.quote(str(folder))}")
        return
    rows = []
    for order in curves.insertion:
        rows.append((order, *(f"{np.nanmean(curves.auc(mode, order)):.3f}" for mode in ("insertion", "deletion"))))
    yield _table(("order of filters", "insertion AUC ↑", "deletion AUC ↓"), rows)
    for mode in ("insertion", "deletion"):
        lines = {order: np.nanmean(values, axis=(0, 1)) for order, values in getattr(curves, mode).items()}
        yield _svg(curves.fractions, lines, f"{mode}: confidence in the class over the original's, by part of filters moved")


def _making(card: dict, folder: str | Path, forgotten: Sequence[int]) -> Iterable[str]:
    made, where = checkpoints.commands(card), str(folder)
    words = _words(made[-1]) if made else []
    if "--out" in words[:-1] and Path(words[words.index("--out") + 1]).name == Path(where).name:
        where = words[words.index("--out") + 1]  # as it was called, not where it lies now
    own = [word for flag, value in pairwise(words) if flag == "--plugin" for word in (flag, value)] + [word for word in words if word.startswith("--plugin=")]
    checks = [[*check, *own] for check in _checks(card, where)]
    names = [str(c) for c in card["classes"]]
    chosen = ",".join(str(c) if "," in names[c] else names[c] for c in forgotten)
    checks.append(["report", where, *(["--forget", chosen] if forgotten else []), "--out", "report.html"])
    again = [*made, *(shlex.join(["python", "-m", "wfviz", *command]) for command in checks)]
    yield "<h3>Commands</h3><pre>" + html.escape("\n".join(again)) + "</pre>" + _p(f"Seed: {card.get('seed')}")
    yield "<h3>Digests (SHA-256)</h3>" + _table(("of", "value"), card["digests"].items())
    yield "<h3>Versions</h3>" + _table(("library", "version"), (card.get("versions") or {}).items())
    settings = {key: card.get(key) for key in ("backbone", "data", "seed", "inputs", "parameters", "pretraining", "untraining")}
    yield "<details><summary>All settings</summary><pre>" + html.escape(json.dumps(settings, indent=1, ensure_ascii=False)) + "</pre></details>"


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote without an end: it was written by hand
        return []


def _checks(card: dict, where: str) -> list[list[str]]:
    """What evaluates the network again as it was evaluated."""
    checks = []
    for split, found in (card.get("metrics") or {}).items():
        limit = ["--limit", str(found["pictures"])] if found["pictures"] < found.get("of", found["pictures"]) else []
        points = ["--curves", str((card.get("curves") or {}).get("per_class", 0))] if split == "test" else []
        checks.append(["evaluate", where, "--split", split, *limit, *points])
    return checks or [["evaluate", where]]


# --- pieces -------------------------------------------------------------------------------------


def _section(title: str, *content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{''.join(content)}</section>"


def _p(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], escape: bool = True) -> str:
    say = (lambda v: html.escape(str(v))) if escape else str
    top = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in head)
    body = "".join(f"<tr>{''.join(f'<td>{say(v)}</td>' for v in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _heat(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], corner: str, say, signed: bool = False) -> str:
    """A matrix as a table whose cells are shaded; the numbers stay text."""

    def cell(value: float) -> str:
        if not np.isfinite(value) or abs(value) < 5e-4:
            return "<td></td>"
        kind = "loss" if signed and value < 0 else "gain" if signed else "share"
        return f'<td class="{kind}" style="--v:{min(1.0, abs(value)):.2f}">{say(value).removesuffix(" %")}</td>'

    top = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in columns)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(map(cell, row))}</tr>' for name, row in zip(rows, values, strict=True)
    )
    return f'<div class="wide"><table class="heat"><thead><tr><td>{html.escape(corner)}</td>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _most(predictions: np.ndarray, classes: Sequence[str]) -> str:
    """What a class is taken for most, in words: "8 (64.9 %), 9 (32.4 %)"."""
    total = predictions.sum()
    top = [int(c) for c in np.argsort(-predictions, kind="stable")[:3] if predictions[c]]
    return ", ".join(f"{called(classes[c])} ({percent(predictions[c] / total)})" for c in top)


def _svg(x: np.ndarray, lines: dict[str, np.ndarray], title: str) -> str:
    """Curves over [0, 1] as an inline drawing, each with its name at its end and a text for screen readers."""
    width, height, left, bottom = 640, 260, 40, 24
    top = max(1.0, max(float(np.nanmax(y)) for y in lines.values()))

    def place(px: float, py: float) -> str:
        return f"{left + px * (width - left - 110):.1f},{height - bottom - py / top * (height - bottom - 10):.1f}"

    drawn = []
    for order, y in lines.items():
        kind, dash = ORDER_STYLES.get(order, ("quiet", ""))
        path = " ".join(place(float(a), float(b)) for a, b in zip(x, y, strict=True))
        drawn.append(f'<polyline class="{kind}" points="{path}"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")
        middle = int(np.searchsorted(x, {"gates": 0.08, "activation": 0.25, "weight norm": 0.45}.get(order, 0.65)))
        px, py = place(float(x[middle]), float(y[middle])).split(",")
        drawn.append(f'<text class="{kind}" x="{float(px) + 4}" y="{float(py) - 5}">{html.escape(order)}</text>')
    axes = "".join(
        f'<line class="axis" x1="{left}" x2="{width - 110}" y1="{place(0, v).split(",")[1]}" y2="{place(0, v).split(",")[1]}"/>'
        f'<text x="2" y="{float(place(0, v).split(",")[1]) + 4}">{100 * v:.0f} %</text>' for v in (0, 0.5, 1)
    )
    return f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">{axes}{"".join(drawn)}</svg><figcaption>{html.escape(title)}</figcaption></figure>'
