"""What page 2 derives from the gates of a layer, kept between runs: with 1,000 classes it takes longer than drawing it.

Known by the folder and stamp of the network, the layer (or all layers) and the sizes that are asked for. Shared between
visitors: never change what comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from wfviz import relations as rel
from wfviz.scope import Scope, scope_of
from wfviz.ui import cached
from wfviz.ui.cached import Network

if TYPE_CHECKING:
    import networkx as nx


def telling_layer(network: Network, layers: Mapping[str, np.ndarray]) -> str:
    """The layer that says most about its classes: where their ten most closed gates are closed furthest."""
    return _telling_layer(network.folder, network.stamp, layers)


@st.cache_resource(max_entries=32, show_spinner=False)
def _telling_layer(folder: str, stamp: str, _layers) -> str:
    def closed(gates: np.ndarray) -> float:
        most = min(10, gates.shape[1])
        return 1 - float(np.partition(gates, most - 1, axis=1)[:, :most].mean())

    return max(_layers, key=lambda name: closed(_layers[name]))


def scope(network: Network, layers: Mapping[str, np.ndarray], layer: str) -> Scope:
    """The gates [C, columns] of one layer, or of `ALL`, with what every column is called."""
    return _scope(network.folder, network.stamp, layer, layers, network)


@st.cache_resource(max_entries=8, show_spinner=False)
def _scope(folder, stamp, layer, _layers, _network) -> Scope:
    return scope_of(_layers, layer, cached.heads(_network))


def tops(network: Network, scope: Scope, k: int) -> list[list[tuple[int, float]]]:
    """The k most closed filters of every class, as `relations.top_filters` gives them."""
    return _tops(network.folder, network.stamp, scope.title, k, scope)


@st.cache_resource(max_entries=32, show_spinner=False)
def _tops(folder, stamp, layer, k, _scope):
    return rel.top_filters(_scope.gates, k)


def overlap(network: Network, scope: Scope, k: int) -> np.ndarray:
    """Jaccard overlap of the top-k filters of every pair of classes: [C, C] in [0, 1]."""
    return _overlap(network.folder, network.stamp, scope.title, k, scope)


@st.cache_resource(max_entries=8, show_spinner=False)
def _overlap(folder, stamp, layer, k, _scope) -> np.ndarray:
    return rel.overlap(_scope.gates, k)


def graph(network: Network, scope: Scope, k: int, shared_by: int) -> nx.Graph:
    """The filters that at least `shared_by` classes have among their top k, as `relations.filter_class_graph` gives them."""
    return _graph(network.folder, network.stamp, scope.title, k, shared_by, scope, network)


@st.cache_resource(max_entries=16, show_spinner=False)
def _graph(folder, stamp, layer, k, shared_by, _scope, _network) -> nx.Graph:
    return rel.filter_class_graph(_scope.gates, _network.classes, k, shared_by, _scope)


def table(network: Network, scope: Scope, k: int) -> pd.DataFrame:
    """The relations as a table; with the layer among all layers, and the head and part in attention."""
    return _table(network.folder, network.stamp, scope.title, k, scope, network)


@st.cache_resource(max_entries=8, show_spinner=False)
def _table(folder, stamp, layer, k, _scope, _network) -> pd.DataFrame:
    frame = pd.DataFrame(rel.relation_rows(_scope.gates, _network.classes, k))
    places = [_scope.places[f] for f in frame["filter"]]
    frame["filter"] = [place.index for place in places]
    at = frame.columns.get_loc("filter")
    if any(place.part for place in places):
        frame.insert(at, "part", [("" if place.head is None else f"head {place.head}, ") + (place.part or "") for place in places])
    if _scope.whole:
        frame.insert(at, "layer", [place.layer for place in places])
    return frame
