"""Page 2: a filter's card, what if filters are closed, and overlap beside mix-ups, against networks closed by hand."""

import copy

import numpy as np
import pytest
import torch

import wfviz
from tests.pages.conftest import ROOT, widget
from wfviz.data import load_data
from wfviz.pictures import normalize
from wfviz.ui import relating
from wfviz.ui.filtercard import flip_words
from wfviz.ui.whatif import words

FOLDER = ROOT / "checkpoints" / "digits-cnn"


@pytest.fixture(scope="module")
def closed():
    """`closed(layer, indices, level)`: true classes, and those predicted by a network whose weights were multiplied."""
    net = wfviz.load(FOLDER, device="cpu")
    pictures = load_data("digits", None, 0, download=False, size=8).test
    x = normalize(pictures.take(torch.arange(len(pictures))), net.inputs)

    @torch.no_grad()
    def run(layer, indices, level=0.0):
        own = copy.deepcopy(net)
        module = own.backbone.get_submodule(layer).inner
        module.weight[indices] *= level
        module.bias[indices] *= level
        return pictures.labels.numpy(), own(x).argmax(1).numpy()

    return run


def test_a_link_opens_the_card_of_any_filter(open_page, shown, closed):
    test = open_page("filters", layer="fc1", isolate="filter 46", forget="3")
    assert not test.exception and widget(test, "selectbox", "isolate").value == "filter 46"
    said = shown(test)
    assert "**Filter #46** of fc1" in said and "Most active on" in said and "Most relevant for" in said and "Would like to see" in said
    labels, before = closed("fc1", [])
    assert flip_words(labels, before, closed("fc1", [46])[1]) in said
    assert widget(test, "multiselect", "close").value == ["filter 46"]


def test_a_filter_outside_the_graph_can_be_isolated_by_name(open_page, shown):
    test = open_page("filters", layer="conv1", top="1", shared="10", isolate="filter 31")
    assert not test.exception and "**Filter #31** of conv1" in shown(test)
    test = open_page("filters", layer="conv1", isolate="filter 32")
    assert not test.exception and "filter 32" in shown(test) and widget(test, "selectbox", "isolate").value == "everything"


def test_what_is_isolated_goes_along_when_the_layer_changes(open_page):
    test = open_page("filters", layer="conv2", isolate="filter 7")
    widget(test, "selectbox", "layer").set_value("all layers").run()
    assert not test.exception and widget(test, "selectbox", "isolate").value == "filter 7 of conv2"
    widget(test, "selectbox", "layer").set_value("conv1").run()
    assert not test.exception and widget(test, "selectbox", "isolate").value == "everything"


def test_what_if_counts_like_a_network_closed_by_hand(open_page, shown, closed):
    test = open_page("filters", layer="fc1", close="filter 46", level="0.50")
    labels, before = closed("fc1", [])
    _, after = closed("fc1", [46], 0.5)
    counts = [np.histogram2d(labels, p, bins=(range(11), range(11)))[0].astype(int) for p in (before, after)]
    classes = [str(c) for c in range(10)]
    assert words(classes, *counts, 1, 0.5) in shown(test)
    widget(test, "multiselect", "close").set_value(["filter 46", "filter 28", "filter 81"]).run()
    widget(test, "select_slider", "level").set_value("0.00").run()
    _, after = closed("fc1", [46, 28, 81])
    counts[1] = np.histogram2d(labels, after, bins=(range(11), range(11)))[0].astype(int)
    assert words(classes, *counts, 3, 0.0) in shown(test) and (np.diagonal(counts[1]) < np.diagonal(counts[0])).any()


def test_top_filters_of_the_forgotten_class_are_taken(open_page, shown, monkeypatch):
    test = open_page("filters", layer="fc1", forget="3")
    assert "Choose filters" in shown(test)
    test.button(key="close_top").click().run()
    gates = wfviz.load(FOLDER, device="cpu").gates()["fc1"]["weight"][3].numpy()
    top = {f"filter {i}" for i in np.argsort(gates, kind="stable")[:10]}
    assert set(widget(test, "multiselect", "close").value) == top and "10 filters at 0.00" in shown(test)
    monkeypatch.setattr(relating, "MOST_LISTED", 0)  # as among thousands of filters: only those of the graph are on offer
    test = open_page("filters", layer="fc1", forget="3", shared="10")
    assert not top & set(widget(test, "multiselect", "close").options)
    test.button(key="close_top").click().run()
    assert set(widget(test, "multiselect", "close").value) == top and "10 filters at 0.00" in shown(test)


@pytest.mark.parametrize(("link", "said"), [({"close": "filter 999"}, "filter 999"), ({"level": "2"}, "Gate"), ({"measure": "x", "view": "overlap"}, "Measure"), ({"layer": "conv9"}, "conv9")], ids=["filter", "level", "measure", "layer"])
def test_bad_links(open_page, shown, link, said):
    test = open_page("filters", **link)
    assert not test.exception and any(said.lower() in str(w.value).replace("\\", "").lower() for w in test.warning)


@pytest.mark.parametrize("network", ["digits-cnn", "digits-vit_micro"])
@pytest.mark.parametrize("view", ["graph", "matrix", "overlap", "table"])
def test_all_layers_in_every_view(open_page, network, view):
    test = open_page("filters", network=network, layer="all layers", view=view, forget="2")
    assert not test.exception and not test.error


def test_overlap_by_both_measures(open_page, shown):
    test = open_page("filters", view="overlap", layer="fc1")
    first = shown(test)
    assert "Pearson" in first and "Spearman" in first
    measure = next(w for w in test.get("segmented_control") + test.get("button_group") if w.key == "measure")
    measure.set_value("likeness of rows").run()
    assert not test.exception and "Pearson" in shown(test) and shown(test) != first


def test_card_without_the_pictures(open_page, shown, monkeypatch, tmp_path):
    monkeypatch.setenv("WFVIZ_DATA", str(tmp_path))
    test = open_page("filters", network="mnist-cnn", layer="fc1", isolate="filter 5")
    assert not test.exception and "**Filter #5** of fc1" in shown(test) and "not on this machine" in shown(test)
    assert "Would like to see" in shown(test)  # needs no pictures
