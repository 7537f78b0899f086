"""Page 7: four questions about one method, each with a verdict, a figure and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from wfviz.comparisons import ATTACKS, Comparison
from wfviz.figures import audit as figures
from wfviz.figures import verdicts
from wfviz.figures.comparison import Trace, layer_figure
from wfviz.figures.style import called
from wfviz.figures.verdicts import PARTLY, NO, UNKNOWN, YES, Verdict
from wfviz.scores import GRID, Evidence, by_layer, common, evidence, goal, most_attacked, relearning, roc, strongest
from wfviz.ui import definitions
from wfviz.ui.compared import all_open, same_original, starting, titles, whose
from wfviz.ui.state import LINKS, State, check_link, nothing_for
from wfviz.ui.widgets import chart, choice
from wfviz.ui.words import plain

BADGES = {NO: ("green", ":material/check:"), PARTLY: ("yellow", ":material/remove:"), YES: ("orange", ":material/close:"), UNKNOWN: ("gray", ":material/question_mark:")}  # fmt: skip
GATED = ("wfnet",)  # methods, by the start of their names, that leave the weights as they are



@dataclass(frozen=True)
class Case:
    """One method of a comparison under audit. beside: the references that have finished, without the method itself."""

    comparison: Comparison
    method: str
    forget: int | None
    split: str
    worst: bool

    @property
    def beside(self) -> tuple[str, ...]:
        return tuple(m for m in ("original", "retrain", "logit_mask") if m in self.comparison.finished and m != self.method)

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(part of the figures, method): the references, then the method."""
        return [(m, m) for m in self.beside] + [("first", self.method)]

    @property
    def whose(self) -> str:
        return whose(self.comparison, self.forget)

    @property
    def attacked(self) -> int | None:
        """The class on which all networks are attacked: with the worst case that where the method is told best."""
        return most_attacked(self._rows(self.method, None)) if self.worst else None

    @property
    def worst_class(self) -> str:
        return "" if self.attacked is None else called(self.comparison.classes[self.attacked])

    @property
    def gates(self) -> bool:
        return self.method.startswith(GATED)

    def rows(self, method: str) -> list[dict]:
        """The finished rows of a method, of those classes and seeds that stand beside each other."""
        return self._rows(method, self.forget)

    def attack_rows(self, method: str) -> list[dict]:
        return self.rows(method) if self.attacked is None else self._rows(method, self.attacked)

    def _rows(self, method: str, forget: int | None) -> list[dict]:
        both = common(self.comparison, (self.method, *self.beside), forget)
        return [row for row in self.comparison.done(method, forget) if (row["forget"], row["seed"]) in both]

    @property
    def left_out(self) -> str:
        """A sentence where the networks beside the method have not finished all that it has."""
        used, there = len(self.rows(self.method)), len(self.comparison.done(self.method, self.forget))
        return f"Only the {used} of {there} rows count whose class and seed the networks beside it have finished as well." if used < there else ""

    def own(self, method: str) -> Evidence:
        """What is known of a method, under its full title: it opens sentences."""
        return replace(self.evidence(method), title=self.comparison.title(method))

    def evidence(self, method: str) -> Evidence:
        return evidence(self.comparison, method, self.split, self.rows(method), self.attack_rows(method))

    def verdicts(self, method: str) -> dict[str, Verdict]:
        """The four verdicts on a method, by key of `QUESTIONS`."""
        own, beside = self.own(method), {m: self.evidence(m) for m in self.beside if m != method}
        if method != self.method:  # the other networks stay the same, whoever is judged
            beside = {m: self.evidence(m) for m in ("original", "retrain") if m in self.comparison.finished}
        elif method == "original":  # what does not tell of the original tells of none
            beside["original"] = own
        what = f"{self.split} pictures of {called(self.comparison.classes[self.forget])}" if self.forget is not None else f"{self.split} pictures of the forgotten class"
        return {
            "recognised": verdicts.recognised(own, beside, what),
            "inside": verdicts.inside(own, beside, self.comparison.layers[-1]),
            "back": verdicts.back(own, beside, self.comparison.limit),
            "told": verdicts.told(own, beside, self.worst_class),
        }

    def paragraph(self, found: dict[str, Verdict]) -> str:
        """The verdict in words. found: the four of the method itself."""
        masked = self.verdicts("logit_mask") if "logit_mask" in self.beside and not self.comparison.is_reference(self.method) else {}
        original = self.evidence("original") if "original" in self.beside else None
        return verdicts.paragraph(self.own(self.method), found, masked, self.whose, self.gates, original=original, worst=self.worst_class)


def asked(state: State, comparison: Comparison, forget: int | None) -> Case:
    """The method under audit and the worst-case switch; both stand in the link."""
    options = titles(comparison, comparison.finished)
    first = next(title for title, m in options.items() if m == starting(comparison)[0])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = choice("Method", list(options), "audited", first)
        check_link("worst", ("true", "false"), "worst case", "false")
        worst = st.toggle(
            "Worst case", key="worst", bind="query-params",
            help="Attacks on the class where they tell most of this method, instead of the chosen class or the mean.",
        )  # fmt: skip
    return Case(comparison, options[picked], forget, state.split, worst)


def questions(case: Case, found: dict[str, Verdict]) -> None:
    """The four questions, two by two."""
    draw = {"recognised": _recognised, "inside": _inside, "back": _back, "told": _told}
    with st.grid(2, min_column_width=340, gap="medium") as halves:
        for key, verdict in found.items():
            with halves.cell():
                color, icon = BADGES[verdict.answer]
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.subheader(verdict.question, width="content", anchor=False)
                    st.badge(verdict.answer, icon=icon, color=color)
                with st.container(height=104, border=False):
                    st.markdown(plain(verdict.words), help=definitions.definition(HELP[key]))
                draw[key](case, verdict.words)


HELP = {"recognised": "Acc_f", "inside": "probe", "back": "relearn", "told": "attack"}


def _recognised(case: Case, words: str) -> None:
    traces, names = [], []
    for part, method in case.parts:
        rows = [row for row in case.rows(method) if "acc_f" in row["splits"].get(case.split, {})]
        traces.append(Trace(part, case.comparison.short(method), np.array([row["splits"][case.split]["acc_f"] for row in rows])))
        names.append([case.comparison.classes[row["forget"]] for row in rows])
    chart(figures.acc_f_bars(traces, names), words, "recognised")


def _inside(case: Case, words: str) -> None:
    layers = case.comparison.layers
    traces = [Trace(part, case.comparison.short(m), by_layer(case.rows(m), "probe", layers)) for part, m in case.parts]
    traces = [trace for trace in traces if np.isfinite(trace.values).any()]
    if traces:
        chart(layer_figure(layers, traces, percent=True, height=figures.HEIGHT), words, "inside")
    else:
        st.caption("No probe was fitted.")


def _back(case: Case, words: str) -> None:
    traces = [Trace(part, case.comparison.short(m), relearning(case.rows(m))) for part, m in case.parts if m != "original"]
    traces = [trace for trace in traces if len(trace.values)]
    if traces:
        chart(figures.relearning_figure(traces, goal(case.rows(case.method)), case.comparison.limit), words, "back")
    else:
        st.caption("Relearning was left out of this comparison.")


def _told(case: Case, words: str) -> None:
    traces = []
    for part, method in case.parts:
        curve = roc(case.attack_rows(method))
        if curve is not None:
            traces.append(Trace(part, case.comparison.short(method), curve))
    if traces:
        chart(figures.roc_figure(GRID, traces), words, "told")
    else:
        st.caption("No attack was tried.")


def attack_table(case: Case) -> pd.DataFrame:
    """AUC of every attack on every network, one below 0.5 turned round: means over the rows looked at, or over those of the worst class."""
    rows = []
    for _, method in [*case.parts[::-1]]:
        shown = case.attack_rows(method)
        line: dict = {"Network": case.comparison.short(method)}
        for name in ATTACKS:
            values = [max(auc, 1 - auc) for r in shown if (auc := r.get("attack", {}).get(name)) is not None]
            line[name] = float(np.mean(values)) if values else None
        strong = [v for r in shown if np.isfinite(v := strongest(r))]
        rows.append(line | {"strongest": float(np.mean(strong)) if strong else None})
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def attacks(case: Case) -> None:
    """The attacks one by one, folded away."""
    table = attack_table(case)
    with st.expander("Every attack as a table", icon=":material/table:"):
        formats = {name: st.column_config.NumberColumn(format="%.3f") for name in (*ATTACKS, "strongest") if name in table}
        st.dataframe(table, hide_index=True, alt="Area under the ROC curve of every attack", column_config=formats)
        st.caption("An AUC below 0.5 tells as much the other way round and counts as one minus itself. Strongest: of every row, then the mean.")


def open_gates(state: State, case: Case) -> None:
    """The proof that nothing was deleted, or what takes its place for a method that changes the weights."""
    st.subheader("Open the gates again")
    title, network = case.comparison.title(case.method), state.network
    if not case.gates:
        said = {
            "original": "The original forgets nothing, so there is nothing to bring back.",
            "logit_mask": f"Logit masking only hides the answer: without the mask {case.whose} is back at once.",
            "weight_masks": f"{title} lays a mask over the weights of the original: without the mask {case.whose} is back at once.",
        }  # fmt: skip
        changed = f"{title} has no gates to open: what it has changed stays changed. The original has to be kept to have the class back."
        st.markdown(plain(said.get(case.method.partition(".")[0], changed)))
        return
    same = all_open(case.comparison, network) if same_original(case.comparison, network) else 0
    if same:
        said = (
            f"With no class forgotten, {network.slug} gives the {same:,} test pictures the very answers of the original, counted class by "
            f"class: every cell of its confusion matrix is the same. Nothing was deleted, and {case.whose} is back at once."
        )
    else:
        said = f"{title} leaves the weights as they are: with all gates open it is the original, bit for bit, and {case.whose} is back at once."
        if not same_original(case.comparison, network):
            said += f" {network.slug}, in the side bar, starts from another original than this comparison, so its numbers are not these."
    st.markdown(plain(said))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Forget nothing", icon=":material/lock_open:", key="open_gates", on_click=_open, args=(network.classes,), disabled=state.forget is None
        )
        st.page_link(st.session_state[LINKS]["Forget"], label="See it on the page Forget", icon=":material/arrow_forward:")


def _open(classes) -> None:
    st.session_state["forget"] = nothing_for(classes)
