"""The sentence under every title, made from the numbers; the same words name the chart for a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wfviz.figures.style import called, count, join, percent, points, several

MOST_NAMES = 8  # forgotten classes that a sentence names one by one


def named(classes: Sequence[str], forgotten: int | Sequence[int] | None) -> str:
    """The forgotten classes in a sentence: `cat`, `cat and dog`; empty where nothing is forgotten."""
    names = [called(classes[c]) for c in several(forgotten)]
    more = len(names) - MOST_NAMES + 1
    return join(names if len(names) <= MOST_NAMES else [*names[: MOST_NAMES - 1], f"{more} more classes"])


def forgetting(
    classes: Sequence[str], counts: np.ndarray, before: np.ndarray, after: np.ndarray,
    forgotten: int | Sequence[int] | None,
) -> str:
    """What forgetting did. counts, before, after: [C] pictures and correct pictures of every class."""
    total, gone = int(counts.sum()), list(several(forgotten))
    if not gone:
        return (
            f"Nothing is forgotten: the network recognises {percent(before.sum() / max(total, 1))} of "
            f"{count(total, 'picture')}. Choose a class in the side bar."
        )
    name, n = named(classes, gone), int(counts[gone].sum())
    if not n:
        return f"No picture of {name} is among the {count(total, 'picture')} that were counted."
    left = int(after[gone].sum())
    still = "none is" if left == 0 else "1 is" if left == 1 else f"{left:,} are"
    first = f"Of {count(n, 'picture')} of {name}, {still} still recognised (before: {int(before[gone].sum()):,})"
    others = [c for c in range(len(classes)) if c not in gone and counts[c]]
    if not others:
        return first + "."
    change = (after - before) / np.maximum(counts, 1)
    mean, worst = float(change[others].mean()), min(others, key=lambda c: change[c])
    if len(others) == 1 and points(mean) != "0.0":
        return f"{first}; {called(classes[worst])} {'loses' if mean < 0 else 'gains'} {abs(100 * mean):.1f} points."
    if points(mean) == "0.0" and points(change[worst]) == "0.0":
        return f"{first}; {'the other classes stay as they were' if len(others) > 1 else f'{called(classes[worst])} stays as it was'}."
    losers = sum(change[c] < 0 and points(change[c]) != "0.0" for c in others)
    name, size = called(classes[worst]), f"{abs(100 * change[worst]):.1f}"
    if points(mean) == "0.0":
        way, tail = "keep their accuracy", f"; {name} loses most: {size} points"
    elif mean < 0:
        way, tail = f"lose {abs(100 * mean):.1f} points", f", {name} most: {size}"
    else:
        way, tail = f"gain {100 * mean:.1f} points", f"; only {name} loses {size}" if losers == 1 else f"; {name} loses most: {size}"
    return f"{first}; the other classes {way} on average{tail if losers else ''}."


def picture(
    classes: Sequence[str], before: np.ndarray, after: np.ndarray | None, truth: int | None = None
) -> str:
    """One picture in words. before, after: probabilities [C]; truth: its class, if known."""
    was = int(before.argmax())
    now = was if after is None else int(after.argmax())
    if after is None:
        said = f"taken for {called(classes[was])} ({percent(before[was])})."
    elif was == now:
        said = f"was {called(classes[was])} ({percent(before[was])}) and stays so ({percent(after[now])})."
    else:
        said = f"was {called(classes[was])} ({percent(before[was])}), now {called(classes[now])} ({percent(after[now])})."
    return said[0].upper() + said[1:] if truth is None else f"A picture of {called(classes[truth])}: {said}"


def taken_for(classes: Sequence[str], row: np.ndarray, forgotten: int | Sequence[int]) -> str:
    """What the forgotten classes are taken for now. row: predictions of their pictures, [C]."""
    total = int(row.sum())
    if not total:
        return ""
    top = [int(c) for c in np.argsort(-row, kind="stable")[:3] if row[c] > 0]
    parts = [f"{called(classes[c])} ({percent(row[c] / total)})" for c in top]
    mostly = "mostly " if np.count_nonzero(row) > len(top) else ""
    return f"Pictures of {named(classes, forgotten)} are now {mostly}taken for {join(parts)}."


def mix_ups(classes: Sequence[str], confusion: np.ndarray) -> str:
    """The most frequent mistake of a confusion matrix [C, C] of counts."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    if wrong.max() <= 0:
        return f"Every one of {count(int(confusion.sum()), 'picture')} is recognised."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    right, often = int(np.trace(confusion)), "most often" if (wrong == wrong.max()).sum() == 1 else "for example"
    return (
        f"The network recognises {right:,} of {count(int(confusion.sum()), 'picture')}; {often} it takes {called(classes[i])} for "
        f"{called(classes[j])}: {int(wrong[i, j]):,} of {count(int(confusion[i].sum()), 'picture')} of {called(classes[i])}."
    )


def collateral(classes: Sequence[str], change: np.ndarray) -> str:
    """Which class suffers most from forgetting which other. change: [C, C], row = forgotten; nan for a class without pictures."""
    others = np.where(np.isnan(change), np.inf, change)
    np.fill_diagonal(others, np.inf)
    if not np.isfinite(others).any():
        return ""
    i, j = np.unravel_index(int(others.argmin()), others.shape)
    mean = float(others[np.isfinite(others)].mean())
    if others[i, j] >= 0:
        return "No class loses accuracy when another one is forgotten."
    return (
        f"Over all pairs the other classes change by {points(mean)} points on average; hit hardest is {called(classes[j])} "
        f"when {called(classes[i])} is forgotten: {points(others[i, j])}."
    )


def sharing(
    classes: Sequence[str], layer: str, tops: list[list[tuple[int, float]]], overlap: np.ndarray, forgotten: int | None,
    name: Callable[[int], str] = "#{}".format,
) -> str:
    """How much of a class's filters in a layer other classes need too. name: what a filter is called."""
    users: dict[int, int] = {}
    for row in tops:
        for f, _ in row:
            users[f] = users.get(f, 0) + 1
    shared = [f for f, n in users.items() if n > 1]
    if forgotten is None:
        most = max(users, key=lambda f: (users[f], -f)) if shared else None
        tail = "" if most is None else f"; {name(most)} stands for the most classes, {users[most]}"
        return f"In {layer}, {len(shared)} of {len(users)} chosen filters {'stands' if len(shared) == 1 else 'stand'} for more than one class{tail}."
    own = [f for f, _ in tops[forgotten]]
    both = sum(users[f] > 1 for f in own)
    near = overlap[forgotten].copy()
    near[forgotten] = -1
    likest = int(near.argmax())
    some = ", for example," if (near > near[likest] - 1e-9).sum() > 1 else ""
    tail = f"; the largest overlap is{some} with {called(classes[likest])}: {percent(near[likest])}" if near[likest] > 0 else ""
    if len(own) == 1:
        return f"The filter of {layer} that is most closed for {called(classes[forgotten])} is {'' if both else 'not '}shared with other classes{tail}."
    return (
        f"Of the {len(own)} filters of {layer} that are most closed for {called(classes[forgotten])}, "
        f"{both} {'is' if both == 1 else 'are'} shared with other classes{tail}."
    )
