"""Which stored comparison the pages look at, and which of its forgotten classes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from wfviz.comparisons import COMPARISON, Comparison, find, read
from wfviz.errors import WfvizError
from wfviz.figures.style import called, count
from wfviz.scores import Line, confusion, lines
from wfviz.ui import cached
from wfviz.ui.state import State, current
from wfviz.ui.widgets import choice
from wfviz.ui.words import plain

_FOR = "_wfviz_compared_for"  # the network that the comparison was chosen for
WEIGHTS, KIND = "weights", "kind"
STAMP = "stamp"  # of the file as it was read


@st.cache_resource(max_entries=32, show_spinner="Reading the comparison")
def _read(folder: str, stamp: str) -> Comparison:
    found = read(folder)
    return replace(found, about={**found.about, STAMP: stamp})


@st.cache_data(max_entries=256, show_spinner=False)
def _lines(folder: str, stamp: str, split: str, forget: int | None, _comparison: Comparison) -> list[Line]:
    return lines(_comparison, split, forget)


def table(comparison: Comparison, split: str, forget: int | None) -> list[Line]:
    """The lines of the table, added up once for every state of the file that was read."""
    return _lines(comparison.folder, comparison.about[STAMP], split, forget, comparison)


def _stamp(folder: str | Path) -> str:
    try:
        found = (Path(folder) / COMPARISON).stat()
    except OSError:  # it is gone by now; what was read of it stays
        return "gone"
    return f"{found.st_size}:{found.st_mtime_ns}"


def comparisons() -> tuple[dict[str, Comparison], list[str]]:
    """Every comparison found, by its name in links, and a sentence for every one that cannot be read."""
    found, complaints = {}, []
    for folder in find():
        slug = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        try:
            found[slug] = _read(str(folder), _stamp(folder))
        except WfvizError as error:
            complaints.append(str(error))
    return found, complaints


def fitting(found: Mapping[str, Comparison], network: cached.Network) -> tuple[str, str]:
    """The comparison that belongs to a network, and by what: WEIGHTS, KIND (data and backbone), or "" for the first of all."""
    for slug, one in found.items():
        if same_original(one, network):
            return slug, WEIGHTS
    backbone = (network.card.get("backbone") or {}).get("name")
    for slug, one in found.items():
        if one.dataset == network.dataset and one.about["backbone"].get("name") == backbone and one.classes == network.classes:
            return slug, KIND
    return next(iter(found)), ""


def same_original(comparison: Comparison, network: cached.Network) -> bool:
    """Whether a comparison starts from the network: the same backbone; where that is not known, the same answer to every test picture, counted."""
    known = comparison.starts_from(network.card)
    return bool(all_open(comparison, network)) if known is None else known


def all_open(comparison: Comparison, network: cached.Network) -> int:
    """Test pictures on which the network with all gates open was counted exactly like the original; 0 where that differs."""
    rows = comparison.done("original")[:1]
    counted = confusion(rows, "test") if rows else None
    try:
        stored = cached.evaluation(network).confusion.get("test")
    except WfvizError:
        return 0
    if comparison.dataset != network.dataset or counted is None or stored is None or stored[0].shape != counted.shape or comparison.classes != network.classes:
        return 0
    return int(counted.sum()) if np.array_equal(stored[0], counted) else 0


def chosen(state: State) -> Comparison | None:
    """The comparison to look at, with a drop-down where there are several; None, and what to do, where there is none."""
    found, complaints = comparisons()
    if complaints:
        st.warning("  \n".join(plain(c) for c in complaints[:5]), icon=":material/folder_off:")
    if not found:
        st.markdown("There is no comparison yet. This command makes one; it can be interrupted and goes on with `--resume`:")
        st.code(command(state.network), language="bash")
        return None
    slug, fits = fitting(found, state.network)
    if st.session_state.get(_FOR) != state.network.slug:  # another network: its own comparison, unless a link says otherwise
        if _FOR in st.session_state and "comparison" in st.session_state:
            st.session_state["comparison"] = slug
        st.session_state[_FOR] = state.network.slug
    picked = slug
    if len(found) > 1:
        picked = choice("Comparison", list(found), "comparison", slug, help="Every comparison under comparisons/ and runs/.")
    one = found[picked]
    facts = [f"{one.about['backbone'].get('name', 'network')} on {one.dataset}", count(len(one.methods), "method")]
    facts += [count(len(one.about["forget"]), "forgotten class", "forgotten classes"), count(len(one.about["seeds"]), "seed")]
    facts += [one.about["machine"]] if one.about.get("machine") else []
    planned, there = len(one.about["methods"]) * len(one.about["forget"]) * len(one.about["seeds"]), len(one.rows)
    facts += [f"{there:,} of {planned:,} rows so far"] if there < planned else []
    st.caption(plain(", ".join(facts) + "." + _mismatch(one, state, fits if picked == slug else None)))
    return one


def begin_with(folder: str | Path) -> None:
    """Have the page Compare show the comparison of a folder, as if it were chosen there."""
    here = Path(folder).resolve()
    slug = next((slug for slug, one in comparisons()[0].items() if Path(one.folder).resolve() == here), None)
    if slug is not None:
        st.session_state.update({"comparison": slug, _FOR: current().network.slug})


def _mismatch(comparison: Comparison, state: State, fits: str | None) -> str:
    """What to know where the comparison does not start from the network of the side bar. fits: None where it was not asked yet."""
    network = state.network.slug
    if fits == WEIGHTS or (fits is None and same_original(comparison, state.network)):
        return ""
    if fits == KIND:
        return f" It starts from another original than {network}, of the same kind."
    if fits == "":
        return f" No comparison starts from {network}; this is the first one there is."
    return f" It does not start from {network}."


def command(network: cached.Network) -> str:
    """The command that makes a comparison of a network."""
    from wfviz.data import names

    backbone = (network.card.get("backbone") or {}).get("name", "cnn")
    out = f"comparisons/{network.slug.rsplit('/', 1)[-1]}"
    parts = ["--dataset", network.dataset, "--backbone", backbone, "--from", _short(network.folder), "--out", out]
    parts += [] if network.dataset in names() else ["--image-size", str(network.size)]
    return f"python -m wfviz compare {shlex.join(parts)}"


def _short(folder: str) -> str:
    """Relative to where the dashboard was started, where that is shorter."""
    path = Path(folder)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else folder


def forgotten(state: State, comparison: Comparison) -> tuple[int | None, str]:
    """The class that is looked at, as an index of the comparison (None: all), and a sentence where it was not compared."""
    if state.forgotten is None:
        return None, ""
    name = state.forgotten
    if name in comparison.classes and comparison.classes.index(name) in comparison.about["forget"]:
        return comparison.classes.index(name), ""
    there = [called(comparison.classes[c]) for c in comparison.about["forget"][:12] if c < len(comparison.classes)]
    return None, f"{called(name)} is not among the classes forgotten in this comparison ({', '.join(there)}): all of them are shown."


def whose(comparison: Comparison, forget: int | None) -> str:
    """The forgotten class in a sentence, or any of them: `“3”`, `a forgotten class`."""
    return "a forgotten class" if forget is None else called(comparison.classes[forget])


def where(comparison: Comparison, forget: int | None) -> str:
    """What a mean is over: `for “3”`, `over 10 forgotten classes`."""
    if forget is not None:
        return f"for {called(comparison.classes[forget])}"
    there = {row["forget"] for row in comparison.rows if row["state"] == "done"}
    return f"over {count(len(there), 'forgotten class', 'forgotten classes')}"


def titles(comparison: Comparison, methods) -> dict[str, str]:
    """Title -> method, as they stand in drop-downs and links; two of one title are told apart by name."""
    named = [comparison.title(m) for m in methods]
    return {t if named.count(t) == 1 else f"{t} ({m})": m for m, t in zip(methods, named, strict=True)}


def starting(comparison: Comparison) -> tuple[str, str]:
    """The pair to begin with: WF-Net, or the first method, beside the retrained network, or the next best."""
    there = comparison.finished
    own = [m for m in there if not comparison.is_reference(m)] or list(there)
    first = "wfnet" if "wfnet" in there else own[0]
    second = next((m for m in ("retrain", *own, *there) if m in there and m != first), first)
    return first, second
