"""Page 6: the table of all methods with the references on top, two of them side by side, and the price list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from wfviz.comparisons import Comparison
from wfviz.figures import confusion as matrices
from wfviz.figures import sentences
from wfviz.figures.bars import MOST_PAIRS, accuracy_bars
from wfviz.figures.comparison import Trace, layer_figure, map_ends, map_figure, price_figure
from wfviz.figures.style import called, count, join, percent
from wfviz.figures.verdicts import some_of
from wfviz.figures.units import BYTES, SECONDS, short_bytes, short_seconds
from wfviz.metrics.accuracy import WHOLE_CONFUSION
from wfviz.scores import SCORES, Line, Score, Spread, by_layer, confusion, numbers, ordered, prices
from wfviz.ui import definitions
from wfviz.ui.compared import starting, titles
from wfviz.ui.state import State
from wfviz.ui.widgets import chart, choice, switch
from wfviz.ui.words import plain, shortened

AS_LISTED = "order of the methods"
MEAN, WORST = "mean ± std", "worst class"
TABLE = "screening"
LEFT = [("steps", 0), ("epochs", 0), ("lr", 0), ("reassign", -1), ("precision", "same")]  # settings that leave it to the method
OVER, FAILED, ROWS = "over-forgets", "failed", "rows"
PINNED = "background-color: rgba(128, 134, 144, 0.13)"


# --- the table ----------------------------------------------------------------------------------


def asked() -> tuple[str | None, bool]:
    """The two controls of the table: (the score it is sorted by, whether every cell names its worst class)."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = choice("Sort by", [AS_LISTED, *(what.name for what in SCORES)], "sort", help="The same as clicking a header of the table.")
        numbers_ = switch("Numbers", [MEAN, WORST], "numbers")
    return None if by == AS_LISTED else by, numbers_ == WORST


def header(what: Score) -> str:
    return f"{what.name} {definitions.GOOD[what.name]}"


def cell(what: Score, found: Spread | None, worst: bool) -> str:
    """A score as it stands in the table: `97.3 ± 0.8`, or its worst class, `cat: 91.0`."""
    if found is None:
        return "–"
    never = f"> {_written(what, found.mean)}" if found.never == found.n else ""  # the limit stands in its place
    if worst:
        return f"{found.worst_class}: {never or _written(what, found.worst)}"
    if never:
        return never
    more = "≥ " if found.never else ""
    if what.unit in ("seconds", "bytes"):
        return more + _written(what, found.mean)
    return f"{more}{_written(what, found.mean)}" + (f" ± {_written(what, found.std)}" if found.n > 1 else "")


def _written(what: Score, value: float) -> str:
    if what.unit == "seconds":
        return short_seconds(value)
    if what.unit == "bytes":
        return short_bytes(value)
    if what.unit == "share":
        return f"{100 * value:.1f}"
    if what.unit == "epochs":
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.3f}" if what.unit == "nats" else f"{value:.2f}"


def frame(shown: Sequence[Line], worst: bool, names: dict[str, str]) -> pd.DataFrame:
    """The table as text, a row for every line. names: method -> its title on the page."""
    rows, most = [], max((line.done for line in shown), default=0)
    for line in shown:
        cells = {header(what): cell(what, line.scores[what.name], worst) for what in SCORES}
        cells[OVER] = f"{line.over} of {line.done}" if line.over else "no" if line.done else "–"
        cells[FAILED] = f"{line.failed} of {line.done + line.failed}" if line.failed else ""
        cells[ROWS] = f"{line.done} of {most}"
        rows.append({"Method": names[line.method], **cells})
    first = ["Method", *(header(what) for what in SCORES[:2]), OVER] + ([FAILED] if any(line.failed for line in shown) else [])
    first += [ROWS] if any(line.done < most for line in shown) else []
    return pd.DataFrame(rows)[first + [header(what) for what in SCORES[2:]]]


def as_numbers(found: Sequence[Line]) -> pd.DataFrame:
    """Everything in the table as numbers, for a file: mean, std, worst and worst class of every score."""
    rows = []
    for line in found:
        row = {"method": line.method, "title": line.title, "source": line.source, "reference": line.reference}
        for what in SCORES:
            spread = line.scores[what.name]
            for part in ("mean", "std", "worst", "worst_class", "never"):
                if part != "never" or what.unit == "epochs":
                    row[f"{what.name} {part.replace('_', ' ')}"] = None if spread is None else getattr(spread, part)
        rows.append(row | {"over-forgetting": line.over, "done": line.done, "failed": line.failed})
    return pd.DataFrame(rows)


def pair_after(rows: Sequence[int], pair: tuple[str, str], shown: Sequence[str]) -> tuple[str, str]:
    """The two methods that are chosen once the ticked rows are `rows`; shown: the methods by row.

    A third one takes the place of the second; one that is left alone becomes the first.
    """
    ticked = [shown[i] for i in rows if i < len(shown)]
    new = [m for m in ticked if m not in pair]
    if new:
        kept = next((m for m in pair if m in ticked), pair[0])
        return kept, new[-1]
    if len(ticked) == 1 and ticked[0] == pair[1]:
        return pair[1], pair[0]
    return pair


def table(comparison: Comparison, found: Sequence[Line], by: str | None, worst: bool, pair: tuple[str, str], words: str) -> None:
    """The references on top, then the methods; ticking two shows them side by side, clicking a header sorts."""
    shown = ordered(found, by, worst)
    methods, names = [line.method for line in shown], {m: t for t, m in titles(comparison, comparison.methods).items()}
    text = frame(shown, worst, names)
    columns = {what.name: header(what) for what in SCORES}
    ticked = sorted({methods.index(m) for m in pair if m in methods})
    st.session_state[TABLE] = {"selection": {"rows": ticked, "columns": [columns[by]] if by else [], "cells": []}}

    def selected() -> None:
        chosen = st.session_state[TABLE].selection
        column = chosen.columns[0] if chosen.columns else None
        first, second = pair_after(chosen.rows, pair, methods)
        sort = next((name for name, title in columns.items() if title == column), AS_LISTED if column is None else by or AS_LISTED)
        st.session_state.update(sort=sort, first=names[first], second=names[second])

    grey = [line.reference for line in shown]
    styled = text.style.apply(lambda row: [PINNED if grey[row.name] else ""] * len(row), axis=1)
    config = {header(what): st.column_config.TextColumn(help=definitions.definition(what.name), alignment="right") for what in SCORES}
    config |= {
        "Method": st.column_config.TextColumn(pinned=True, help="References stay on top."),
        OVER: st.column_config.TextColumn(help=definitions.definition("over-forgetting")),
        FAILED: st.column_config.TextColumn(help="Rows that ended in an error; the means are over the others."),
        ROWS: st.column_config.TextColumn(help="Rows that are finished; with fewer than others the means are over other classes."),
    }
    st.dataframe(
        styled, hide_index=True, column_config=config, key=TABLE, alt=f"All methods. {words}", on_select=selected,
        selection_mode=["multi-row", "single-column"], height=min(560, 38 + 35 * len(text)), placeholder="",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Grey: references, always on top. Click a header to sort, the best first; tick two rows to see them below.", width="stretch")
        st.download_button(
            "CSV", as_numbers(found).to_csv(index=False), f"{comparison.name}-methods.csv", "text/csv", key="methods_csv",
            icon=":material/download:", help="Mean, standard deviation and worst class of every score as a file.", on_click="ignore",
        )  # fmt: skip


def failures(comparison: Comparison, forget: int | None) -> None:
    """What went wrong, a line for every method that failed somewhere."""
    said = []
    for method in comparison.methods:
        rows = comparison.failed(method, forget)
        if rows:
            where = join(some_of(list(dict.fromkeys(called(comparison.classes[row["forget"]]) for row in rows)), 8))
            said.append(f"{comparison.title(method)} failed for {where}: {rows[0].get('error', 'no reason was kept')[:300]}")
    if said:
        st.caption("  \n".join(plain(line) for line in said))


# --- two methods --------------------------------------------------------------------------------


def two(comparison: Comparison) -> tuple[str, str]:
    """The two methods that are compared: read before the drop-downs are drawn, so that the table above can tick them."""
    options = titles(comparison, comparison.finished)
    start = starting(comparison)
    names = {m: t for t, m in options.items()}
    found = []
    for key, method in zip(("first", "second"), start, strict=True):
        asked_for = st.session_state.get(key) or st.query_params.get(key)
        found.append(options.get(asked_for, method) if names else method)
    return found[0], found[1]


def drop_downs(comparison: Comparison) -> tuple[str, str]:
    """The two drop-downs, which stand in the link; ticking rows of the table sets them."""
    options, start = titles(comparison, comparison.finished), starting(comparison)
    names = {m: t for t, m in options.items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = [
            choice(label, list(options), key, names[method])
            for label, key, method in zip(("First method", "Second method"), ("first", "second"), start, strict=True)
        ]
    return options[picked[0]], options[picked[1]]


VIEWS = ("confusion", "accuracy", "features")


def side_by_side(state: State, comparison: Comparison, pair: tuple[str, str], forget: int | None) -> None:
    """Confusion, accuracy by class, or likeness by layer and the map of features of two methods: one at a time, as in the link."""
    view = switch("Side by side", VIEWS, "beside")
    many = view == "confusion" and len(comparison.classes) > WHOLE_CONFUSION
    if many:
        st.caption(f"With over {WHOLE_CONFUSION} classes the accuracy of the classes stands for the confusion matrices.")
    if view == "confusion" and not many:
        _confusions(state, comparison, pair, forget)
    elif view == "accuracy" or many:
        with st.grid(2, min_column_width=340, gap="medium") as halves:
            for key, method in zip(("first", "second"), pair, strict=True):
                with halves.cell():
                    _accuracy(state, comparison, method, forget, key)
    else:
        with st.grid(2, min_column_width=340, gap="medium") as halves:
            for key, what in (("cka", "the original"), ("cka_retrained", "the retrained network")):
                with halves.cell():
                    _likeness(comparison, pair, forget, key, f"Likeness to {what} by layer (CKA)")
        _maps(comparison, pair, forget)


def _confusions(state: State, comparison: Comparison, pair: tuple[str, str], forget: int | None) -> None:
    shown = [("Before", "original", "before")] + [(comparison.short(m), m, key) for m, key in zip(pair, ("first", "second"), strict=True)]
    st.markdown("**Confusion matrices**, in % of the row")
    with st.grid(3, min_column_width=240):
        for title, method, key in shown:
            rows = comparison.done(method, forget)[: 1 if key == "before" else None]  # before it is the same in all
            counts = confusion(rows, state.split)
            if counts is None:
                continue
            several = f", {len(rows)} rows added up" if len(rows) > 1 else ""
            with st.container(gap="xsmall"):
                st.markdown(f"**{plain(shortened(title, 30))}**{several}")
                figure = matrices.confusion_figure(matrices.shares(counts), counts, comparison.classes, False, forget if key != "before" else None)
                chart(figure, f"{title}{several}: {sentences.mix_ups(comparison.classes, counts)}", f"confusion_{key}")


def _accuracy(state: State, comparison: Comparison, method: str, forget: int | None, key: str) -> None:
    """Accuracy by class, before and after; over several rows a class counts only while it stays."""
    before, after = (by_class(comparison, m, state.split, forget) for m in ("original", method))
    title = comparison.title(method)
    st.markdown(f"**{plain(title)}**, accuracy by class" + ("" if forget is not None else " while others are forgotten"))
    if after is None:
        there = comparison.done(method, forget)
        st.caption(f"Nothing is stored for the {state.split} split." if there else "No row of it is finished.")
        return
    before = (np.full(len(after[0]), np.nan), after[1]) if before is None else before
    change = after[0] - before[0]
    kept = [c for c in range(len(change)) if c != forget and np.isfinite(change[c])]
    said = f"{title}: accuracy by class before and after."
    if kept:
        worst = min(kept, key=lambda c: change[c])
        said = f"{title}: of the classes that stay, {called(comparison.classes[worst])} changes least for the better: {100 * change[worst]:+.1f} points."
    if forget is not None:
        said += f" Of {called(comparison.classes[forget])} {percent(after[0][forget])} are recognised."
    chart(accuracy_bars(comparison.classes, before[0], after[0], after[1], forget, title), said, f"accuracy_{key}")
    if len(comparison.classes) > MOST_PAIRS:
        st.caption(f"The {MOST_PAIRS} classes that this method changes most are drawn, of {len(comparison.classes):,}.")


def by_class(comparison: Comparison, method: str, split: str, forget: int | None) -> tuple[np.ndarray, np.ndarray] | None:
    """(accuracy [C], pictures [C]) of every class: with one forgotten class the means over seeds, else only while it stays."""
    correct, pictures = np.zeros((2, len(comparison.classes)))
    for row in comparison.done(method, forget):
        counts = confusion([row], split)
        if counts is None:
            continue
        stays = np.arange(len(counts)) != (row["forget"] if forget is None else -1)
        correct += np.where(stays, np.diagonal(counts), 0)
        pictures += np.where(stays, counts.sum(1), 0)
    if not pictures.any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pictures > 0, correct / pictures, np.nan), pictures


def _likeness(comparison: Comparison, pair: tuple[str, str], forget: int | None, key: str, title: str) -> None:
    shown = list(zip(("first", "second"), pair, strict=True))
    if key == "cka" and "retrain" in comparison.finished and "retrain" not in pair:
        shown.append(("retrain", "retrain"))
    traces = [Trace(part, comparison.short(m), by_layer(comparison.done(m, forget), key, comparison.layers)) for part, m in shown]
    traces = [t for t in traces if np.isfinite(t.values).any()]
    st.markdown(f"**{title}**", help=None if key == "cka" else definitions.definition("CKA"))
    if not traces:
        st.caption("It was not measured: that takes a retrained network among the methods.")
        return
    said = "; ".join(f"{t.name} {t.values[-1]:.2f}" for t in traces)
    chart(layer_figure(comparison.layers, traces), f"{title}: at {comparison.layers[-1]} {said}", key)


def _maps(comparison: Comparison, pair: tuple[str, str], forget: int | None) -> None:
    gone = comparison.about["forget"][0] if forget is None else forget
    shown = [("Before", "original", "before")] + [(comparison.short(m), m, key) for m, key in zip(pair, ("first", "second"), strict=True)]
    found = [(title, row["map"], key) for title, method, key in shown if (row := _mapped(comparison, method, gone)) is not None]
    if not found:
        return
    st.markdown("**Map of the features** ahead of the head, on the same axes")
    if all("umap_x" in points for _, points, _ in found) and switch("Projection", ["PCA", "UMAP"], "projection") == "UMAP":
        found = [(title, {"labels": points["labels"], "x": points["umap_x"], "y": points["umap_y"]}, key) for title, points, key in found]
        how = "by UMAP of the original's features: neighbours stay neighbours, distances between groups mean little"
    else:
        how = "in the PCA plane of the original's features"
    ends, name = map_ends([points for _, points, _ in found]), called(comparison.classes[gone])
    note = "" if forget is not None else f" They show {name} forgotten; choose a class in the side bar for another."
    with st.grid(3, min_column_width=240):
        for title, points, key in found:
            with st.container(gap="xsmall"):
                st.markdown(plain(shortened(title, 30)))
                chart(
                    map_figure(points, comparison.classes, gone, ends),
                    f"{title}: {count(len(points['labels']), 'test picture')} {how}, {name} in the accent", f"map_{key}",
                )  # fmt: skip
    here = any(gone in points["labels"] for _, points, _ in found)
    drawn = f"{name} is drawn as orange diamonds." if here else f"Pictures of {name} are not among those that were kept."
    st.caption(plain(f"Every point is a test picture, {how}. {drawn}{note}"))


def _mapped(comparison: Comparison, method: str, forget: int) -> dict | None:
    """The first row of a method that has a map, for one class."""
    return next((row for row in comparison.done(method, forget) if row.get("map", {}).get("labels")), None)


# --- what it costs ------------------------------------------------------------------------------


def price_list(comparison: Comparison, pair: tuple[str, str]) -> None:
    """Seconds and bytes for one, ten and all classes."""
    found, k = prices(comparison), numbers(comparison)
    parts = ["first" if p.method == pair[0] else "second" if p.method == pair[1] else "" for p in found]
    every = f"{k[-1]:,} classes"
    costs = [f"{p.title} takes {short_seconds(p.seconds[-1])} and stores {short_bytes(p.bytes[-1])}" for p in found if p.method in pair]
    if not found:
        st.caption("The original alone costs nothing.")
        return
    st.markdown(plain(f"To make all {every} forgettable, {'; '.join(costs)}." if costs else f"What it takes to make all {every} forgettable:"))
    with st.grid(2, min_column_width=340, gap="medium") as halves:
        for key, title, unit, say, ticks in (
            ("price_time", "Time", "seconds", short_seconds, SECONDS), ("price_bytes", "Storage", "bytes", short_bytes, BYTES),
        ):  # fmt: skip
            with halves.cell():
                st.markdown(f"**{title}**, from one class to {every}")
                values = np.array([getattr(p, unit) for p in found])
                texts = [[say(v) for v in row] for row in values]
                said = "; ".join(f"{p.title} {row[-1]}" for p, row in zip(found, texts, strict=True))
                chart(price_figure([comparison.short(p.method) for p in found], values, k, parts, texts, ticks), f"{title} for {every}: {said}", key)
    names = [f"{n:,} {'class' if n == 1 else 'classes'}" for n in k]
    rows = [
        {"Method": p.title}
        | {f"time, {name}": short_seconds(v) for name, v in zip(names, p.seconds, strict=True)}
        | {f"storage, {name}": short_bytes(v) for name, v in zip(names, p.bytes, strict=True)}
        for p in found
    ]
    right = {column: st.column_config.TextColumn(alignment="right") for column in rows[0] if column != "Method"}
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Price list", column_config=right)


# --- how it was made ----------------------------------------------------------------------------


def making(comparison: Comparison) -> None:
    """Every method's source and settings, and the command that makes the comparison again."""
    first = {method: comparison.done(method)[0] for method in comparison.finished}
    rows = [{"Method": row["title"], "Settings": settings(row.get("settings", {})), "Source": row.get("source", "")} for row in first.values()]
    with st.expander("How the rows were made", icon=":material/tune:"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Settings and source of every method")
        if command := comparison.about.get("command"):
            st.code(command, language="bash", wrap_lines=True)


def settings(found: dict) -> str:
    """As they read in a table: `steps 60, lr 0.0001`; what is empty or left to the method (0 steps, no class) is left out.

    Of a WF-Net that was there already the checkpoint alone counts.
    """
    if found.get("checkpoint"):
        found = {"checkpoint": found["checkpoint"]}
    return ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items() if value not in ("", []) and (key, value) not in LEFT)
