"""The gates that are looked at, of one layer or of all layers at once, and what every one of them is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wfviz import heads as attention

ALL = "all layers"


@dataclass(frozen=True)
class Place:
    """Where a gate sits. `part` (q, k, v) is None outside joint attention projections, `head` and `feature` also where the heads are not known."""

    layer: str
    index: int
    part: str | None = None
    head: int | None = None
    feature: int | None = None


@dataclass(frozen=True)
class Scope:
    """Gates side by side: `gates` [C, columns] in [0, 1] with a `Place` for every column. `whole`: of all layers."""

    gates: np.ndarray = field(compare=False, repr=False)
    places: tuple[Place, ...]
    whole: bool

    @property
    def title(self) -> str:
        """The layer, or `all layers`."""
        return ALL if self.whole else self.places[0].layer

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers in their order."""
        return tuple(dict.fromkeys(place.layer for place in self.places))

    def name(self, column: int) -> str:
        """What a filter is called in drop-downs and links: `filter 12`, or `filter 12 of conv1` among all layers."""
        place = self.places[column]
        return f"filter {place.index} of {place.layer}" if self.whole else f"filter {place.index}"

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column by name."""
        return {self.name(column): column for column in range(len(self.places))}

    def label(self, column: int) -> str:
        """What a filter is called in the graph: `#12`, in a joint projection `q #12`; the layer stands beside the band."""
        place = self.places[column]
        if place.part is None:
            return f"#{place.index}"
        head = f"h{place.head} " if self.whole and place.head is not None else ""
        return f"{head}{place.part} #{place.index}"

    def band(self, column: int) -> str:
        """The band of the graph a filter stands in: its layer among all layers, its head in a joint projection, else none."""
        place = self.places[column]
        if self.whole:
            return place.layer
        return "" if place.head is None else f"head {place.head}"

    def order(self, column: int) -> tuple:
        """What filters are sorted by before anything else: layer, head, then query, key, value."""
        place = self.places[column]
        part = attention.PARTS.index(place.part) if place.part else 0
        return (self._rank[place.layer], -1 if place.head is None else place.head, part)

    def described(self, column: int) -> str:
        """A filter in words: `filter 12 of conv1`, `filter 12 of blocks.0.attn.qkv (query, head 0)`."""
        place = self.places[column]
        whose = {"q": "query", "k": "key", "v": "value"}
        detail = [whose[place.part]] if place.part else []
        detail += [f"head {place.head}", f"feature {place.feature}"] if place.head is not None else []
        return f"filter {place.index} of {place.layer}" + (f" ({', '.join(detail)})" if detail else "")

    def by_layer(self, columns: list[int]) -> dict[str, list[int]]:
        """{layer: indices} of some columns, as `filters.predictions` takes them."""
        found: dict[str, list[int]] = {}
        for column in columns:
            found.setdefault(self.places[column].layer, []).append(self.places[column].index)
        return found

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {layer: rank for rank, layer in enumerate(self.layers)}


def scope_of(gates: Mapping[str, np.ndarray], choice: str, heads: Mapping[str, int] | None = None) -> Scope:
    """The scope of one layer, or of `ALL`.

    gates: layer -> [C, F] in [0, 1]. heads: attention heads of joint projections, as far as they are known.
    """
    chosen = list(gates) if choice == ALL else [choice]
    places = []
    for layer in chosen:
        width = int(gates[layer].shape[1])
        if attention.is_joint(layer, width):
            n_heads = (heads or {}).get(layer, 0)
            known = n_heads > 0 and width // 3 % n_heads == 0
            found = [attention.place(i, width, n_heads if known else 1) for i in range(width)]
            places += [Place(layer, i, *(one if known else one[:1])) for i, one in enumerate(found)]
        else:
            places += [Place(layer, i) for i in range(width)]
    return Scope(np.concatenate([gates[layer] for layer in chosen], axis=1), tuple(places), choice == ALL)


def moved(name: str, before: str, now: str) -> str | None:
    """What a filter chosen in one scope is called in the next; None where it is not there.

    before, now: a layer or `ALL`. `filter 12` of `conv1` is `filter 12 of conv1` among all layers, and back.
    """
    if before == now:
        return name
    full = name if before == ALL else f"{name} of {before}"
    if now == ALL:
        return full
    return full.removesuffix(f" of {now}") if full.endswith(f" of {now}") else None
