"""Everything read from disk or computed by a network, kept between runs and shared between visitors.

A network is known by its folder and a stamp of its files, so that a retrained checkpoint is read
anew. Nothing in a cache is ever changed: what is forgotten travels as an argument.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st

from wfviz import runs
from wfviz.errors import WfvizError

ALWAYS_HERE = "digits"  # the data set that comes with a dependency
MOST_COUNTED = 2000  # pictures that are looked at where nothing is stored

Forget = int | tuple[int, ...] | None  # a class, several at once, or nothing

@dataclass(frozen=True)
class Network:
    """A checkpoint as the pages know it: `slug` is its name in links, `stamp` changes with its files."""

    slug: str
    folder: str
    stamp: str
    card: dict = field(compare=False, repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(c) for c in self.card["classes"])

    @property
    def dataset(self) -> str:
        return str(self.card.get("data", {}).get("dataset", "unknown data"))

    @property
    def size(self) -> int:
        """Side of the pictures it takes, in pixels. Raises WfvizError where the card does not say it."""
        inputs = self.card.get("inputs")
        if not inputs:
            raise WfvizError(f"the card of {self.slug} does not say what pictures it takes")
        return int(inputs["size"])

    @property
    def accuracy(self) -> float | None:
        """Accuracy of the original network on the test split, if the card has it."""
        return self.card.get("metrics", {}).get("test", {}).get("accuracy")

    @property
    def gates(self) -> int | None:
        return self.card.get("parameters", {}).get("gates")

    @property
    def parameters(self) -> int | None:
        return self.card.get("parameters", {}).get("backbone")


def roots() -> list[Path]:
    """Where checkpoints are looked for: see `runs.places`."""
    return runs.places("checkpoints")


def networks() -> tuple[dict[str, Network], list[str]]:
    """Every WF-Net found, by slug, and a sentence for every checkpoint that cannot be read.

    The pages begin with the first one: those whose pictures are always there come first.
    """
    from wfviz.checkpoints import find_checkpoints

    found, complaints = {}, []
    for folder in find_checkpoints(*roots()):
        try:
            stamp = _stamp(folder)
            card = _card(str(folder), stamp)
            half_done = (card.get("untraining") or {}).get("state") == "started" or runs.busy(folder)
            if card.get("kind", "wfnet") != "wfnet" or not card.get("classes") or half_done:
                continue
        except WfvizError as error:
            complaints.append(str(error))
            continue
        except OSError:  # it is being written, or removed, just now
            continue
        slug = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        found[slug] = Network(slug, str(folder), stamp, card)
    return dict(sorted(found.items(), key=lambda item: item[1].dataset != ALWAYS_HERE)), complaints


def _stamp(folder: Path) -> str:
    """Name, size and time of change of every file of a checkpoint, as one string."""
    files = sorted(p for p in Path(folder).iterdir() if p.is_file())
    return "|".join(f"{p.name}:{s.st_size}:{s.st_mtime_ns}" for p in files for s in [p.stat()])


@st.cache_resource(max_entries=256, show_spinner=False)
def _card(folder: str, stamp: str) -> dict:
    from wfviz.checkpoints import read_card

    return read_card(Path(folder))


@st.cache_resource(max_entries=16, show_spinner=False)
def _gates(folder: str, stamp: str) -> dict:
    from wfviz.checkpoints import read_gates

    return read_gates(Path(folder))


def gates(network: Network) -> dict[str, dict[str, np.ndarray]]:
    """Layer -> {"weight": [C, F], maybe "bias": [C, F]}, in [0, 1]."""
    return _gates(network.folder, network.stamp)


@st.cache_resource(max_entries=32, show_spinner=False)
def _evaluation(folder: str, stamp: str):
    from wfviz.checkpoints import read_evaluation

    stored = read_evaluation(Path(folder))
    if not stored.splits:
        raise WfvizError(f"the evaluation of {folder} is empty; `python -m wfviz evaluate {folder}` makes it again")
    return stored


def evaluation(network: Network):
    """The stored evaluation of a network. Raises WfvizError if it has none that can be read."""
    return _evaluation(network.folder, network.stamp)


@st.cache_resource(max_entries=4, show_spinner="Loading the network")
def _model(folder: str, stamp: str):
    from wfviz.checkpoints import load

    return load(Path(folder))


def model(network: Network):
    """The network itself, shared by everybody: never change it, pass `forget=` to it. May raise WfvizError."""
    return _model(network.folder, network.stamp)


@st.cache_resource(max_entries=4, show_spinner="Reading the pictures")
def _data(dataset: str, root: str | None, seed: int, size: int, train_pictures: int | None, digest: str):
    from wfviz.data import limited, load_data

    return limited(load_data(dataset, root, seed, download=False, size=size), train_pictures, seed)


def data(network: Network):
    """The data set a network was made for. Raises WfvizError where it is not on this machine; never downloads."""
    card, size = network.card, network.size
    known, digest = card.get("data", {}), card.get("digests", {}).get("data", "")  # the pictures of a folder may change
    try:
        found = _data(network.dataset, os.environ.get("WFVIZ_DATA"), int(known.get("seed", 0)), size, known.get("train_pictures"), digest)
    except WfvizError as error:
        raise WfvizError(f"the pictures of {network.dataset} are not on this machine: {error}") from None
    if len(found.classes) != len(network.classes):
        raise WfvizError(f"{network.dataset} has {len(found.classes)} classes here, the network has {len(network.classes)}")
    return found


def pictures(network: Network, split: str):
    """The pictures of one split, `test` or `train`."""
    return getattr(data(network), split)


def labels(network: Network, split: str) -> np.ndarray:
    """The true class of every picture of a split: int64 [N]."""
    return pictures(network, split).labels.cpu().numpy()


@st.cache_data(max_entries=256, show_spinner=False)
def _probabilities(folder, stamp, split, indices, forget, _network) -> np.ndarray:
    import torch

    shown = pictures(_network, split).take(torch.tensor(indices, dtype=torch.long))
    return probabilities_of(_network, shown, forget)


def probabilities(network: Network, split: str, indices: list[int], forget: Forget) -> np.ndarray:
    """Probabilities [B, C] for pictures of the data set, as if `forget` had been unlearned."""
    return _probabilities(network.folder, network.stamp, split, tuple(indices), forget, network)


def probabilities_of(network: Network, shown, forget: Forget) -> np.ndarray:
    """Probabilities [B, C] of uint8 pictures [B, channels, size, size]."""
    import torch

    from wfviz.pictures import normalize

    net = model(network)
    device = next(net.parameters()).device
    chunks = []
    with torch.inference_mode():
        for part in shown.split(256):
            x = normalize(part.to(device), net.inputs)
            chunks.append(net(x, forget=forget).softmax(dim=1).float().cpu())
    return torch.cat(chunks).numpy()


@st.cache_data(max_entries=128, show_spinner=f"Classifying at most {MOST_COUNTED:,} pictures", show_time=True)
def _counted(folder, stamp, split, forget, _network) -> tuple[np.ndarray, np.ndarray]:
    import torch

    shown = pictures(_network, split)
    indices = np.sort(np.random.default_rng(0).permutation(len(shown))[:MOST_COUNTED])
    parts = [
        probabilities_of(_network, shown.take(part), forget).argmax(axis=1) for part in torch.from_numpy(indices).split(256)
    ]
    return indices, np.concatenate(parts) if parts else indices


def counted(network: Network, split: str, forget: Forget) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_COUNTED` pictures, always the same ones, and what they are taken for: (indices [N], predicted [N])."""
    return _counted(network.folder, network.stamp, split, forget, network)


@st.cache_data(max_entries=256, show_spinner="Looking at the pictures of this class")
def _predictions(folder, stamp, split, true_class, forget, most, _network) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from wfviz.data import drawn

    all_labels = labels(_network, split)
    seen = drawn(len(all_labels), most).numpy()
    indices = seen[all_labels[seen] == true_class]
    if not len(indices):
        return indices, indices
    shown = pictures(_network, split).take(torch.from_numpy(indices))
    return indices, probabilities_of(_network, shown, forget).argmax(axis=1)


def predictions(network: Network, split: str, true_class: int, forget: Forget) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of one class that were evaluated and what they are taken for: (indices [N], predicted [N])."""
    most = int(evaluation(network).counts[split].sum())
    return _predictions(network.folder, network.stamp, split, true_class, forget, most, network)


@st.cache_data(max_entries=64, show_spinner=False)
def _thumbnails(folder, stamp, split, indices, _network) -> np.ndarray:
    import torch

    return pictures(_network, split).take(torch.tensor(indices, dtype=torch.long)).cpu().numpy()


def thumbnails(network: Network, split: str, indices: list[int]) -> np.ndarray:
    """Pictures of a split as uint8 [B, channels, size, size]."""
    return _thumbnails(network.folder, network.stamp, split, tuple(indices), network)


@st.cache_resource(max_entries=32, show_spinner=False)
def _curves(folder: str, stamp: str):
    from wfviz.checkpoints import read_curves

    return read_curves(Path(folder))


def curves(network: Network):
    """The stored insertion and deletion curves. Raises WfvizError if it has none that can be read."""
    return _curves(network.folder, network.stamp)


@st.cache_data(max_entries=64, show_spinner=False)
def _gate_steps(folder, stamp, forget, mode, _network) -> dict[str, np.ndarray]:
    from wfviz.playback import gate_steps

    rows, fractions = gates(_network), curves(_network).fractions
    return {name: gate_steps(kinds["weight"] if forget is None else kinds["weight"][[forget]], fractions, mode) for name, kinds in rows.items()}


def gate_steps(network: Network, forget: int | None, mode: str) -> dict[str, np.ndarray]:
    """Layer -> gates [S, F] at every step of the curves, for one class or as the mean over all."""
    return _gate_steps(network.folder, network.stamp, forget, mode, network)


@st.cache_data(max_entries=64, show_spinner="Moving the filters")
def _chances(folder, stamp, indices, targets, mode, _network) -> np.ndarray:
    import torch

    from wfviz.pictures import normalize
    from wfviz.playback import chances

    net = model(_network)
    shown = pictures(_network, "test").take(torch.tensor(indices, dtype=torch.long)).to(net.device)
    return chances(net, normalize(shown, net.inputs), list(targets), curves(_network).fractions, mode)


def chances(network: Network, indices: list[int], targets: list[int], mode: str) -> np.ndarray:
    """Probabilities [B, S, C] of test pictures while the row of each one's class in `targets` is moved step by step."""
    return _chances(network.folder, network.stamp, tuple(indices), tuple(targets), mode, network)


@st.cache_data(max_entries=512, show_spinner="Looking where the network looks")
def _attribution(folder, stamp, pixels, target, method, forget, layer, _network) -> np.ndarray:
    import torch

    from wfviz.attribution import attribute
    from wfviz.pictures import normalize

    net = model(_network)
    side = _network.size
    shown = torch.from_numpy(np.frombuffer(pixels, np.uint8).copy()).view(1, -1, side, side).to(net.device)
    return attribute(net, normalize(shown, net.inputs), target, method, forget, layer)[0]


def attribution(network: Network, pixels: np.ndarray, target: int, method: str, forget: Forget, layer: str | None) -> np.ndarray:
    """How much every pixel of a uint8 picture [channels, size, size] speaks for class `target`: float32 [size, size]."""
    bytes_of = np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
    return _attribution(network.folder, network.stamp, bytes_of, target, method, forget, layer, network)


FAVOURITES = 12  # pictures kept of every filter
LARGE, MOST_LARGE = 64, 250  # pixels a side, and how many of larger pictures are looked at


@dataclass(frozen=True)
class Favourites:
    """The pictures of a split that every filter of a layer responds to most, and those it is most relevant for.

    active, relevant: indices [F, n] of pictures, the highest value first; how_active, how_relevant: the values [F, n];
    looked_at: pictures that were tried.
    """

    active: np.ndarray
    how_active: np.ndarray
    relevant: np.ndarray
    how_relevant: np.ndarray
    looked_at: int


@st.cache_data(max_entries=64, show_spinner="Looking at what every filter of this layer responds to", show_time=True)
def _favourites(folder, stamp, split, layer, _network) -> Favourites:
    import torch

    from wfviz.filters import profile

    indices, _ = counted(_network, split, None)
    if _network.size > LARGE:
        indices = indices[:: max(1, -(-len(indices) // MOST_LARGE))]
    shown = pictures(_network, split).subset(torch.from_numpy(indices))
    batch = int(min(256, max(4, 256 * LARGE**2 // _network.size**2)))
    found = profile(model(_network), layer, shown, batch)
    parts = []
    for values in (found.activation, found.relevance):
        order = np.argsort(-values, axis=0, kind="stable")[:FAVOURITES]
        parts += [indices[order].T, np.take_along_axis(values, order, axis=0).T]
    return Favourites(*parts, len(indices))


def favourites(network: Network, split: str, layer: str) -> Favourites:
    """What every filter of a layer responds to, on the pictures of `counted`. Raises WfvizError without them."""
    return _favourites(network.folder, network.stamp, split, layer, network)


@st.cache_data(max_entries=256, show_spinner="Making a picture for this filter", show_time=True)
def _synthesised(folder, stamp, layer, index, _network) -> np.ndarray:
    from wfviz.filters import visualise

    made = visualise(model(_network), layer, index)
    return made[None] if made.ndim == 2 else np.moveaxis(made, -1, 0)


def synthesised(network: Network, layer: str, index: int) -> np.ndarray:
    """A picture that drives one filter, made by optimisation: uint8 [channels, size, size]. Needs no data."""
    return _synthesised(network.folder, network.stamp, layer, index, network)


@st.cache_data(max_entries=512, show_spinner="Closing the filters", show_time=True)
def _turned(folder, stamp, split, closed, level, _network) -> np.ndarray:
    import torch

    from wfviz.filters import predictions

    indices, _ = counted(_network, split, None)
    shown = pictures(_network, split).subset(torch.from_numpy(indices))
    return predictions(model(_network), shown, closed={layer: list(which) for layer, which in closed}, level=level)


def turned(network: Network, split: str, closed: dict[str, list[int]], level: float) -> np.ndarray:
    """What the pictures of `counted` are taken for with some filters' gates at `level` and all others open: [N].

    closed: {layer: filter indices}. level: in [0, 1], rounded to steps of 0.05.
    """
    chosen = tuple((layer, tuple(sorted(set(which)))) for layer, which in sorted(closed.items()) if which)
    return _turned(network.folder, network.stamp, split, chosen, round(round(20 * level) / 20, 2), network)


@st.cache_data(max_entries=32, show_spinner=False)
def _heads(folder, stamp, _network) -> dict[str, int]:
    from wfviz.heads import heads_of

    return heads_of(_network.card.get("backbone") or {})


def heads(network: Network) -> dict[str, int]:
    """Attention heads of every joint q/k/v projection, {layer: heads}; empty where that is not known."""
    return _heads(network.folder, network.stamp, network)
