"""Every page and every control, without a browser."""

import json
import re
import runpy
import shutil

import pytest
import streamlit as st

from tests.pages.conftest import PAGES, ROOT, widget
from wfviz.checkpoints import read_evaluation
from wfviz.ui import cached
from wfviz.ui.documents import readable

ALL_PAGES = pytest.mark.parametrize("page", PAGES)


def test_the_entry_is_an_app():
    entry = ROOT / "app.py"
    assert isinstance(runpy.run_path(str(entry))["app"], st.App)
    assert len(entry.read_text().splitlines()) <= 30


def test_networks_with_pictures_at_hand_come_first(tmp_path, monkeypatch):
    """The first network is what a newcomer sees: CIFAR-10 has to be downloaded, digits are always there."""
    monkeypatch.setenv("WFVIZ_CHECKPOINTS", str(tmp_path))
    for name, dataset in (("a", "cifar10"), ("b", "digits"), ("c", "mnist"), ("d", "digits")):
        folder = shutil.copytree(ROOT / "checkpoints" / "digits-cnn", tmp_path / name)
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, "name": name, "data": {**card["data"], "dataset": dataset}}))
    found, complaints = cached.networks()
    assert list(found) == ["b", "d", "a", "c"] and not complaints


@ALL_PAGES
@pytest.mark.parametrize("forget", ["none", "3"])
@pytest.mark.parametrize("network", [p.parent.name for p in sorted((ROOT / "checkpoints").glob("digits-*/card.json"))])
def test_every_page_opens(open_page, shown, page, forget, network):
    test = open_page(page, network=network, forget=forget)
    assert not test.exception and not test.error and not test.warning
    assert ("“3”" in test.title[0].value) == (forget == "3")
    assert test.get("plotly_chart")
    assert "Behaves as if it had forgotten" in shown(test)


@ALL_PAGES
def test_every_chart_and_widget_has_a_name(open_page, page):
    test = open_page(page, forget="3")
    for chart in test.get("plotly_chart"):
        assert len(chart.proto.alt) > 20
    for kind in ("selectbox", "number_input", "pills", "segmented_control", "button"):
        for element in test.get(kind):
            assert element.label.strip()


def test_switching_the_class_changes_the_numbers(open_page, shown):
    test = open_page("forget")
    for name in ("3", "7", "none"):
        widget(test, "pills", "forget").set_value(name).run()
        assert not test.exception
        said = shown(test)
        if name == "none":
            assert "Nothing is forgotten" in said
        else:
            stored = read_evaluation(ROOT / "checkpoints" / "digits-cnn")
            left, all_of_it = stored.correct["test"][1 + int(name), int(name)], stored.counts["test"][int(name)]
            assert f"Of {all_of_it} pictures of “{name}”, {left or 'none'}" in said


def test_the_class_is_kept_on_every_page(open_page):
    test = open_page("forget", forget="5", split="train")
    for page in (*PAGES[1:], PAGES[0]):
        test.switch_page(f"../../pages/{page}.py").run()
        assert not test.exception
        assert "“5”" in test.title[0].value
        assert widget(test, "segmented_control", "split").value == "train"


def test_table_of_accuracies_is_the_stored_evaluation(open_page):
    stored = read_evaluation(ROOT / "checkpoints" / "digits-cnn")
    for split in ("test", "train"):
        table = open_page("forget", forget="3", split=split).dataframe[0].value
        assert table["pictures"].tolist() == stored.counts[split].tolist()
        assert table["right after"].tolist() == stored.correct[split][4].tolist()


def test_other_pictures(open_page):
    test = open_page("forget", forget="3")
    test.button(key="other").click().run()
    assert not test.exception
    assert test.session_state["shuffle"] == 1


@pytest.mark.parametrize("source", ["pictures", "upload", "camera", "draw"])
def test_every_source_of_pictures(open_page, source):
    test = open_page("forget", forget="3", source=source)
    assert not test.exception and not test.error
    assert widget(test, "segmented_control", "source").value == source


@pytest.mark.parametrize("view", ["graph", "matrix", "table"])
@pytest.mark.parametrize("forget", ["none", "2"])
def test_every_view_of_the_filters(open_page, view, forget):
    test = open_page("filters", view=view, forget=forget)
    assert not test.exception and not test.error
    assert len(test.get("plotly_chart")) == (1 if view == "table" else 2)


def test_every_layer(open_page, shown):
    card = json.loads((ROOT / "checkpoints" / "digits-cnn" / "card.json").read_text())
    for layer in card["layers"]:
        test = open_page("filters", layer=layer, forget="1")
        assert not test.exception
        assert f"filters of {layer}" in shown(test)


def test_top_and_shared(open_page):
    test = open_page("filters", top="3", shared="1", view="table")
    assert len(test.dataframe[-1].value) + len(test.dataframe[0].value) >= 30
    assert not open_page("filters", top="1", shared="10").exception


def test_isolating_a_filter_and_a_class(open_page, shown):
    test = open_page("filters", shared="1")
    options = widget(test, "selectbox", "isolate").options
    assert options[0] == "everything" and "class 4" in options
    first = next(o for o in options if o.startswith("filter "))
    widget(test, "selectbox", "isolate").set_value(first).run()
    assert not test.exception
    assert f"Filter #{first.split()[1]}" in shown(test)
    widget(test, "selectbox", "isolate").set_value("class 4").run()
    assert "“4” in" in shown(test).replace("*", "")


def test_an_isolated_filter_of_another_layer_is_let_go(open_page):
    test = open_page("filters", shared="1")
    options = widget(test, "selectbox", "isolate").options
    widget(test, "selectbox", "isolate").set_value(options[-1]).run()
    for layer in widget(test, "selectbox", "layer").options:
        widget(test, "selectbox", "layer").set_value(layer).run()
        assert not test.exception


def test_cell_of_the_confusion_matrix(open_page, shown):
    stored = read_evaluation(ROOT / "checkpoints" / "digits-cnn")
    after = stored.confusion["test"][4, 3]
    taken = int(after.argmax())
    said = shown(open_page("before_after", forget="3", true="3", taken=str(taken)))
    assert re.search(rf"{after[taken]} pictures? of “?3”? taken for “?{taken}”? after", said)
    assert re.search(rf"{stored.confusion['test'][0, 3, 3]} pictures", shown(open_page("before_after", true="3", taken="3")))


def test_no_cell(open_page):
    test = open_page("before_after", forget="3", true="3", taken="8")
    test.button(key="no_cell").click().run()
    assert not test.exception
    assert widget(test, "selectbox", "true").value == "any"


def test_network_can_be_changed(open_page):
    test = open_page("forget", forget="3")
    for slug in widget(test, "selectbox", "network").options:
        widget(test, "selectbox", "network").set_value(slug).run()
        assert not test.exception


def test_the_accuracy_in_the_side_bar_is_the_one_of_the_card(open_page):
    card = json.loads((ROOT / "checkpoints" / "digits-cnn" / "card.json").read_text())
    said = "\n".join(str(c.value) for c in open_page().sidebar.caption)
    assert f"{100 * card['metrics']['test']['accuracy']:.1f}\u00a0% right" in said  # on one line


def test_documents_are_read_beside_the_pages(open_page, shown):
    test = open_page("forget")
    test.button(key="docs").click().run()
    assert not test.exception and "streamlit run app.py" in shown(test) + "".join(str(code.value) for code in test.code)
    test.session_state["document"] = "How untraining was tuned"
    test.button(key="docs").click().run()
    assert not test.exception and "Which loss untrains best" in shown(test)


def test_links_into_the_folder_are_words_alone():
    text = "![a picture](docs/a.png)\n\nSee [the results](RESULTS.md) and [this](https://example.org/)."
    assert readable(text) == "See the results and [this](https://example.org/)."
