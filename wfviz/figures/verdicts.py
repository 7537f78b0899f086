"""Sentences on compared methods, made from the numbers: which does best, and whether a class is gone.

Every verdict compares with the network retrained without the class; the thresholds stand here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wfviz.figures.style import called, count, join, percent
from wfviz.scores import Evidence, Line

FORGOTTEN = 0.01  # Acc_f up to which a method counts as forgetting
SILENT = 0.02  # Acc_f above that of the retrained network: up to here not recognised
FAINT = 0.10  # up to here partly
INSIDE = 0.05  # recall of the probe beside that of the retrained, or of the original network
SOONER = 0.8  # share of the epochs the retrained network needs
TELLING = 0.05  # AUC above that of the retrained network, or two standard errors where these are more
TIE = 1e-9  # Acc_r of two methods, below that they keep as much

NO, PARTLY, YES, UNKNOWN = "No", "Partly", "Yes", "Not known"
QUESTIONS = {
    "recognised": "Is it recognised?", "inside": "Is it still inside?", "back": "Does it come back?", "told": "Can one tell it was there?",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The answer to one question, and the numbers behind it. `answer` is NO where forgetting has held."""

    question: str
    answer: str
    words: str


def best(found: Sequence[Line], where: str) -> str:
    """The answer of the table in words. where: `for “3”`, or `over 10 forgotten classes`."""
    start = where[:1].upper() + where[1:]
    failed = sum(line.failed for line in found)
    most = max((line.done for line in found), default=0)
    others = [line for line in found if not line.reference and line.scores["Acc_r"] and line.scores["Acc_f"]]
    short = [line.title for line in others if line.done < most]  # their means are over other classes
    others = [line for line in others if line.done == most]
    tail = f" {count(failed, 'row')} failed." if failed else ""
    tail += f" {join(some_of(short))} {'has' if len(short) == 1 else 'have'} not finished all {most} rows and {'is' if len(short) == 1 else 'are'} left aside." if short else ""
    if not others:
        return f"No method beside the references has finished {where}.{tail}"
    silent = [line for line in others if _shown(line.scores["Acc_f"].mean) <= FORGOTTEN]
    beside = [f"{line.short.lower()} {percent(line.scores['Acc_r'].mean)}" for line in found if line.reference and line.scores["Acc_r"]]
    beside_words = f" ({join(beside)})" if beside else ""
    if not silent:
        top = min(others, key=lambda line: line.scores["Acc_f"].mean)
        reached = f"{percent(top.scores['Acc_f'].mean)}, keeping Acc_r at {percent(top.scores['Acc_r'].mean)}{beside_words}.{tail}"
        if len(others) == 1:
            return f"{top.title} does not bring Acc_f to {percent(FORGOTTEN)} {where}: it reaches {reached}"
        return f"None of {count(len(others), 'method')} brings Acc_f to {percent(FORGOTTEN)} {where}; nearest is {top.title} with {reached}"
    top = max(silent, key=lambda line: line.scores["Acc_r"].mean)
    tied = [line.title for line in silent if line.scores["Acc_r"].mean > top.scores["Acc_r"].mean - TIE]
    if len(silent) == 1:
        only = f"only {top.title} of {len(others)} methods" if len(others) > 1 else top.title
        some = f"{only} brings Acc_f to {percent(FORGOTTEN)} or less and keeps Acc_r at"
    else:
        names = f"{join(some_of(tied))} keep{'s' if len(tied) == 1 else ''}"
        some = f"{len(silent)} of {len(others)} methods bring Acc_f to {percent(FORGOTTEN)} or less; of these {names} most of the other classes: Acc_r"
    over = [line.title + (f" ({line.over} of {line.done} times)" if line.over < line.done else "") for line in others if line.over]
    more = f" {join(over)} over-forget{'s' if len(over) == 1 else ''}." if over else ""
    return f"{start}, {some} {percent(top.scores['Acc_r'].mean)}{beside_words}.{more}{tail}"


def _shown(share: float) -> float:
    """As percent() writes it: a sentence does not say that 1.0 % is more than 1.0 %."""
    return round(float(share), 3)


def some_of(names: Sequence[str], most: int = 3) -> list[str]:
    """The first names and how many more there are."""
    return [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]


# --- four questions -----------------------------------------------------------------------------


def recognised(own: Evidence, beside: dict[str, Evidence], what: str) -> Verdict:
    """what: the pictures that are meant, `test pictures of “3”`."""
    floor = beside["retrain"].acc_f if "retrain" in beside and np.isfinite(beside["retrain"].acc_f) else 0.0
    floor = _shown(floor)
    answer = UNKNOWN if np.isnan(own.acc_f) else _graded(_shown(own.acc_f), floor + SILENT + TIE, floor + FAINT + TIE)
    if answer == NO and own.worst_f > floor + FAINT:  # a mean over many classes hides the one that is still there
        answer = PARTLY
    worst = f", at worst {_percent(own.worst_f)} ({called(own.worst_class)})" if own.worst_f > own.acc_f else ""
    words = f"{own.title} still recognises {_percent(own.acc_f)} of the {what}{worst}{_beside(own, beside, 'acc_f', lambda one: _percent(one.acc_f))}."
    return Verdict(QUESTIONS["recognised"], answer, words)


def inside(own: Evidence, beside: dict[str, Evidence], layer: str) -> Verdict:
    """layer: where the probe stands."""
    words = f"A linear probe on {layer} still finds {_percent(own.recall)} of its pictures{_beside(own, beside, 'recall', lambda one: _percent(one.recall))}."
    answer = _within(own.recall, beside, INSIDE)
    if answer == UNKNOWN and "retrain" in beside and np.isfinite([own.recall, beside["retrain"].recall]).all():
        words += " It finds them in a network that never saw the class as well, so it cannot tell."
    return Verdict(QUESTIONS["inside"], answer, words)


def _within(recall: float, beside: dict[str, Evidence], margin: float) -> str:
    """NO near the retrained network or below it, YES near the original or above it, PARTLY in between.

    UNKNOWN where the original is no further from the retrained network than `margin`, and this one neither.
    """
    if "retrain" not in beside or not np.isfinite([recall, beside["retrain"].recall]).all():
        return UNKNOWN
    low = beside["retrain"].recall + margin
    if "original" in beside and beside["original"].recall <= low and abs(recall - beside["retrain"].recall) <= margin:
        return UNKNOWN
    if recall <= low:
        return NO
    high = beside["original"].recall - margin if "original" in beside else low
    return PARTLY if recall < high else YES


def back(own: Evidence, beside: dict[str, Evidence], limit: int) -> Verdict:
    """limit: epochs after which relearning was given up."""
    answer = UNKNOWN
    if "retrain" in beside and not np.isnan([own.epochs, beside["retrain"].epochs]).any():
        other = beside["retrain"]  # where it was given up, its epochs are a lower bound: then as many classes have to stay away
        answer = NO if own.epochs >= SOONER * other.epochs and _share(own) >= SOONER * _share(other) else YES

    def said(one: Evidence, unit: str = "") -> str:
        if np.isinf(one.epochs):
            return f"{'never' if unit else 'not'} within {limit}{unit}"
        unit = unit.removesuffix("s") if one.epochs == 1 else unit
        return f"{'at least ' if one.never else ''}{one.epochs:.3g}{unit}{f', never for {one.never} of {one.tried}' if one.never else ''}"

    if np.isnan(own.epochs):
        return Verdict(QUESTIONS["back"], answer, "Relearning was not measured.")
    words = f"Relearned {'' if np.isinf(own.epochs) else 'after '}{said(own, ' epochs')}{_beside(own, beside, 'epochs', said)}."
    return Verdict(QUESTIONS["back"], answer, words)


def told(own: Evidence, beside: dict[str, Evidence], worst: str = "") -> Verdict:
    """worst: the class on which all are attacked, instead of the one that is meant; UNKNOWN where the attack does not even tell of the original."""
    answer, more = UNKNOWN, ""
    if "retrain" in beside and np.isfinite([own.auc, beside["retrain"].auc]).all():
        step = max(TELLING, 2 * own.auc_error)
        low = beside["retrain"].auc + step
        answer = _graded(own.auc, low, low + step)
        if answer == NO and "original" in beside and beside["original"].auc <= low:
            answer, more = UNKNOWN, " Of the original, which has seen them, it tells hardly more than of the retrained network, so it cannot tell."
    which = f"At {worst}, the worst class of {own.title}, the" if worst else "The"
    said = f"{own.auc:.2f}" if np.isfinite(own.auc) else "–"
    words = f"{which} strongest attack reaches an AUC of {said}, one that guesses about 0.50{_beside(own, beside, 'auc', lambda one: f'{one.auc:.2f}')}.{more}"
    return Verdict(QUESTIONS["told"], answer, words)


def _share(one: Evidence) -> float:
    """Of the classes those that never came back."""
    return one.never / one.tried if one.tried else float(np.isinf(one.epochs))


def _graded(value: float, low: float, high: float) -> str:
    return NO if value <= low else PARTLY if value <= high else YES


def _beside(own: Evidence, beside: dict[str, Evidence], key: str, said) -> str:
    """The same number of the other networks, in brackets."""
    parts = [f"{one.title.lower()} {said(one)}" for one in beside.values() if one is not own and not np.isnan(getattr(one, key))]
    return f" ({'; '.join(parts) if any(', ' in part for part in parts) else ', '.join(parts)})" if parts else ""


def _percent(share: float) -> str:
    return percent(share) if np.isfinite(share) else "–"


# --- all of it ----------------------------------------------------------------------------------

HELD = {
    "recognised": "is not recognised any more", "inside": "is found inside no better than in a network that never saw it",
    "back": "comes back no sooner than in a retrained network", "told": "cannot be told from one that was never there",
}  # fmt: skip
BROKEN = {
    "recognised": "is still recognised", "inside": "is still inside", "back": "comes back sooner than in a retrained network",
    "told": "leaves traces that an attack finds",
}  # fmt: skip
HALF_BROKEN = {
    "recognised": "is recognised now and then", "inside": "is partly still inside", "back": BROKEN["back"],
    "told": "leaves faint traces that an attack finds",
}  # fmt: skip


def paragraph(
    own: Evidence, verdicts: dict[str, Verdict], masked: dict[str, Verdict], whose: str, gates: bool, *, original: Evidence | None = None, worst: str = "",
) -> str:
    """Whether the class is gone, in a few sentences.

    verdicts: by key of `QUESTIONS`; masked: the same for logit masking, empty without it; whose: `“3”`;
    gates: whether the method leaves the weights as they are; original: for what over-forgetting has cost; worst: as for `told`.
    """
    asked = {key: one.answer for key, one in verdicts.items() if one.answer != UNKNOWN}
    if not asked:
        return f"Whether {whose} is gone cannot be said: nothing was measured beside a retrained network."
    held = [key for key, answer in asked.items() if answer == NO]
    parts = {key: (HELD if a == NO else BROKEN if a == YES else HALF_BROKEN)[key] for key, a in asked.items()}
    if worst not in ("", whose) and "told" in parts:
        parts["told"] = f"the worst class {worst} {parts['told']}"
    first = f"With {own.title}, {whose} {join(list(parts.values()))}."
    if own.over and len(held) == len(asked):
        ruling = "But the network has lost more than the class."
    elif len(held) == len(asked) == len(QUESTIONS):
        ruling = "On all four questions it stands where a network stands that never saw the class: as far as they reach, it is gone."
    elif held == ["recognised"] == list(asked):  # what a masked logit does as well, and no other network has to be there for
        ruling = "That is the only one of the four questions that could be answered."
    elif len(held) == len(asked):
        ruling = f"On the {count(len(asked), 'question')} that could be asked it stands where a retrained network stands."
    elif "recognised" not in held:
        ruling = "So it has not been forgotten." if asked.get("recognised") == YES else "So it has been forgotten only in part."
    else:
        ruling = "So it is silenced rather than gone."
    missing = [QUESTIONS[key][:-1].lower() for key in QUESTIONS if key not in asked]
    gaps = f" Left open: {join(missing)}." if missing else ""
    opened = " Its weights are unchanged: with the gates open the class is back at once." if gates else ""
    return f"{first} {ruling}{_cost(own, original)}{_than_masking(asked, masked)}{opened}{gaps}"


def _cost(own: Evidence, original: Evidence | None) -> str:
    """What over-forgetting has done to the other classes."""
    if not own.over:
        return ""
    before = f", {percent(original.acc_r)} by the original" if original and np.isfinite(original.acc_r) else ""
    times = f" {own.over} of {own.rows} times" if own.rows > 1 else ""
    return f" It over-forgets{times}: of the other classes {_percent(own.acc_r)} are recognised{before}."


RANK = {NO: 0, PARTLY: 1, YES: 2}


def _than_masking(asked: dict[str, str], masked: dict[str, Verdict]) -> str:
    """On how many questions more it holds than logit masking, which changes nothing inside."""
    both = [key for key in asked if key in masked and masked[key].answer in RANK]
    if all(masked[key].answer == NO for key in both):  # nothing could do better
        return ""
    better = [key for key in both if RANK[asked[key]] < RANK[masked[key].answer]]
    if better:
        return f" It does better than masking the logit on {len(better)} of {count(len(both), 'question')}."
    which = f"none of the {len(both)} questions that both could be asked does it do" if len(both) > 1 else "the one question that both could be asked it does no"
    return f" On {which} better than masking the logit, which changes nothing inside."
