"""Does another seed close the same filters? Rounds around one network that differ in their seed alone, side by side.

    python -m benchmarks.seeds checkpoints/digits-cnn runs/digits-cnn-1 runs/digits-cnn-2 [--k 10]

First what each of them reached, as stored in its card. Then, over every pair of seeds: the correlation of the rows of the
same class and of different classes (weight gates of all layers, [classes, filters]), how many rows find the row of their own
class as the most similar one of the other seed, and which share of a class's k most closed filters is the same, in all layers
together and in each of them (the mean), beside what chance would give (k of F filters: k / F).
"""

import argparse
from dataclasses import fields, replace
from itertools import permutations

import numpy as np

from wfviz.checkpoints import read_card, read_gates
from wfviz.errors import WfvizError
from wfviz.relations import top_filters
from wfviz.specs import UntrainSpec

REACHED = (("Acc_r ↑", "acc_r"), ("Acc_f ↓", "acc_f"))


def check(cards: dict[str, dict]) -> None:
    """WfvizError where two rounds differ in their network or in a setting that is not the seed."""
    (first, card), *others = cards.items()
    for folder, other in others:
        if other["digests"]["backbone"] != card["digests"]["backbone"]:
            raise WfvizError(f"{folder} is not around the network of {first}")
        one, two = (settings(c).to_dict() for c in (card, other))
        if differs := [name for name in one if one[name] != two[name]]:
            raise WfvizError(f"{folder} differs from {first} in {', '.join(differs)}")


def settings(card: dict) -> UntrainSpec:
    """Those of the round, with the seed left out; what an older card does not name is as it was then, the default."""
    known = {field.name for field in fields(UntrainSpec)}
    return replace(UntrainSpec.from_dict({key: value for key, value in card["untraining"].items() if key in known}), seed=0)


def reached(cards: dict[str, dict], split: str) -> str:
    """A table of what the cards hold of a split, and under it mean ± standard deviation over the seeds."""
    columns = [name for name, _ in REACHED]
    rows = [[100 * card["metrics"][split][key]["mean"] for _, key in REACHED] for card in cards.values()]
    if split == "test":
        columns += ["insertion ↑", "deletion ↓"]
        rows = [[*row, *(100 * card["curves"][mode]["gates"]["mean"] for mode in ("insertion", "deletion"))] for row, card in zip(rows, cards.values(), strict=True)]
    lines = [f"| {split}, seed | pictures | original | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 3)]
    for card, row in zip(cards.values(), rows, strict=True):
        seen = card["metrics"][split]
        lines.append(f"| {card['seed']} | {seen['pictures']:,} | {100 * seen['accuracy']:.2f} | {' | '.join(f'{v:.2f}' for v in row)} |")
    spread = [f"{m:.2f} ± {s:.2f}" for m, s in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)]
    return "\n".join([*lines, f"| mean | | | {' | '.join(spread)} |"])


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation [C, C] of every row of a [C, F] with every row of b [C, F]."""
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    return (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))


def overlap(a: np.ndarray, b: np.ndarray, k: int) -> float:
    """Share of the k most closed filters of a class that is the same in a and b, both [C, F]; mean over the classes."""
    k = min(k, a.shape[1])
    return float(np.mean([len({f for f, _ in x} & {f for f, _ in y}) / k for x, y in zip(top_filters(a, k), top_filters(b, k), strict=True)]))


def agreement(gates: list[dict[str, np.ndarray]], k: int) -> str:
    """How alike the rows of the seeds are. gates: for every seed, weight gates [C, F] by layer."""
    whole = [np.concatenate(list(layers.values()), axis=1) for layers in gates]
    classes, filters = whole[0].shape
    pairs = list(permutations(range(len(gates)), 2))
    alike = [similarity(whole[a], whole[b]) for a, b in pairs]
    own = np.mean([np.diag(s).mean() for s in alike])
    other = np.mean([s[~np.eye(classes, dtype=bool)].mean() for s in alike])
    found = np.mean([(s.argmax(1) == np.arange(classes)).mean() for s in alike])
    together = np.mean([overlap(whole[a], whole[b], k) for a, b in pairs])
    apart = np.mean([overlap(gates[a][name], gates[b][name], k) for a, b in pairs for name in gates[0]])
    chance = np.mean([min(1.0, k / layer.shape[1]) for layer in gates[0].values()])
    return (f"{len(gates)} seeds, {filters:,} weight gates a class: correlation {own:.2f} with the row of the same class, {other:.2f} with those of others; "
            f"{found:.0%} of the rows find their own class.\nOf the {k} most closed filters of a class {together:.0%} are the same in all layers together "
            f"(chance {min(1.0, k / filters):.1%}), {apart:.0%} within a layer (chance {chance:.0%}).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--k", type=int, default=10, help="filters a class and layer (10)")
    args = parser.parse_args()
    if len(args.folders) < 2:
        parser.error("name two folders at least")
    try:
        cards = {folder: read_card(folder) for folder in args.folders}
        check(cards)
    except WfvizError as error:
        parser.error(str(error))
    for split in ("test", "train"):
        if all(split in (card.get("metrics") or {}) for card in cards.values()):
            print(reached(cards, split), end="\n\n")
    print(agreement([{layer: kinds["weight"] for layer, kinds in read_gates(folder).items()} for folder in args.folders], args.k))


if __name__ == "__main__":
    main()
