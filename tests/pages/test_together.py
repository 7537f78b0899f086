"""Several classes forgotten at once: the controls, the link, the numbers, and what does not know of it."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

import wfviz
from tests.pages.conftest import ROOT, widget
from tests.pages.test_many_classes import network  # noqa: F401  a fixture
from tests.pages.test_uploads import REFUSED
from wfviz.checkpoints import read_evaluation
from wfviz.cli import main
from wfviz.data import load_data
from wfviz.figures import style
from wfviz.pictures import normalize
from wfviz.ui import cached, comparing, samples, widgets


@pytest.fixture(scope="module")
def slowly():
    """`slowly(forget, split)`: true and predicted classes, one picture after the other, by baked networks."""
    net = wfviz.load(ROOT / "checkpoints" / "digits-cnn", device="cpu")
    data = load_data("digits", None, 0, download=False, size=8)

    @torch.no_grad()
    def run(forget, split="test"):
        plain, pictures = net if forget is None else net.bake(forget), getattr(data, split)
        x = normalize(pictures.take(torch.arange(len(pictures))), net.inputs)
        return pictures.labels.numpy(), torch.cat([plain(one[None]).argmax(1) for one in x]).numpy()

    return run


def test_switch_chips_and_link(open_page, shown):
    test = open_page("forget", forget="3")
    assert not [w for w in test.get("pills") if w.key == "also"]
    widget(test, "toggle", "several").set_value(True).run()
    chips = widget(test, "pills", "also")
    assert chips.options == list("012456789")
    chips.set_value(["5", "8"]).run()
    assert not test.exception and test.query_params["also"] == ["5", "8"]
    assert "forgets “3”, “5” and “8”?" in shown(test) and "Switched off for “3”, “5” and “8”" in shown(test)
    widget(test, "toggle", "several").set_value(False).run()
    assert "forgets “3”?" in shown(test)


def test_link_opens_several(open_page, shown):
    test = open_page("forget", forget="3", also=["5", "8"])
    assert not test.exception and not test.warning
    assert widget(test, "toggle", "several").value and widget(test, "pills", "also").value == ["5", "8"]
    assert "forgets “3”, “5” and “8”?" in shown(test)


def test_first_class_leaves_the_further_ones(open_page, shown):
    test = open_page("forget", forget="3", also=["5", "8"])
    widget(test, "pills", "forget").set_value("5").run()
    assert not test.exception and "forgets “5” and “8”?" in shown(test)
    widget(test, "pills", "forget").set_value("none").run()
    assert not test.exception and "forgets a class?" in shown(test)
    assert widget(test, "toggle", "several").disabled


@pytest.mark.parametrize(
    ("link", "said", "left"),
    [
        ({"forget": "3", "also": ["5", "cat", "9"]}, "unknown further class to forget 'cat'", "“3”, “5” and “9”"),
        ({"forget": "3", "also": ["cat", "dog"]}, "'cat'", "“3”?"),
        ({"forget": "3", "also": ["3", "5"]}, "unknown further class to forget '3'", "“3” and “5”"),
        ({"forget": "3", "also": "x" * 5000}, "unknown further class", "“3”?"),
        ({"also": ["3"]}, "but for no first one", "a class?"),
        ({"forget": "cat", "also": ["3"]}, "but for no first one", "a class?"),
    ],
    ids=range(6),
)
def test_bad_links(open_page, shown, link, said, left):
    test = open_page("forget", **link)
    assert not test.exception
    assert said in shown(test) and left in test.title[0].value
    assert not test.run().warning


@pytest.mark.parametrize("split", ["test", "train"])
def test_numbers_are_those_of_the_baked_network(open_page, shown, slowly, split):
    test = open_page("forget", forget="8", also=["3"], split=split)
    table = test.dataframe[0].value
    true, before = slowly(None, split)
    _, after = slowly((3, 8), split)
    assert table["pictures"].tolist() == np.bincount(true, minlength=10).tolist()
    assert table["right before"].tolist() == np.bincount(true[before == true], minlength=10).tolist()
    assert table["right after"].tolist() == np.bincount(true[after == true], minlength=10).tolist()
    gone = np.isin(true, (3, 8))
    assert f"Of {gone.sum()} pictures of “8” and “3”" in shown(test)
    assert f"Acc_r ↑ {style.percent((before == true)[~gone].mean())} → **{style.percent((after == true)[~gone].mean())}**" in shown(test)
    assert f"counted now on all {len(true):,} {split} pictures" in shown(test)


def test_a_draw_where_there_are_many(open_page, shown, monkeypatch):
    monkeypatch.setattr(cached, "MOST_COUNTED", 100)
    cached._counted.clear()
    pages = [open_page(page, forget="3", also=["5"]) for page in ("forget", "before_after")]
    cached._counted.clear()
    for test in pages:
        assert not test.exception and "on 100 of the 360 test pictures, drawn with a fixed seed" in shown(test)
    assert pages[0].dataframe[0].value["pictures"].sum() == 100


def test_confusion_and_its_cell(open_page, shown, slowly):
    true, after = slowly((3, 5))
    taken = int(np.bincount(after[true == 5], minlength=10).argmax())
    test = open_page("before_after", forget="3", also=["5"], true="5", taken=str(taken))
    matrices = {c.proto.alt.split(":")[0]: json.loads(c.proto.spec)["data"] for c in test.get("plotly_chart")}
    assert {"Before", "After", "Difference"} <= set(matrices)
    n = int(((true == 5) & (after == taken)).sum())
    assert f"{n} pictures of “5” taken for “{taken}” after" in shown(test)
    cells = {tuple(c[:2]): c[3] for t in matrices["After"] if t["type"] == "scatter" for c in t["customdata"]}
    assert cells[5, taken] == n and sum(cells.values()) == len(true)


def test_an_evaluation_of_a_draw_says_so_and_shows_its_own_pictures(open_page, shown, tmp_path):
    folder = shutil.copytree(ROOT / "checkpoints" / "digits-cnn", tmp_path / "digits-cnn")
    assert main(["evaluate", str(folder), "--limit", "100", "--curves", "0", "--device", "cpu"]) == 0
    n = int(read_evaluation(folder).confusion["test"][0, 5, 5])
    for page in ("forget", "before_after"):
        said = shown(open_page(page, checkpoints=tmp_path, forget="3", true="5", taken="5"))
        assert "Counted on 100 random pictures of the 360 in the test split." in said
    assert f"{n} pictures of “5” taken for “5” before" in said and 0 < n < 20
    assert "random pictures" not in shown(open_page("before_after", checkpoints=tmp_path, forget="3", split="train"))


def test_flow_of_one_and_of_several(open_page, slowly):
    for also, forget in (([], 3), (["5"], (3, 5))):
        test = open_page("before_after", forget="3", **({"also": also} if also else {}))
        specs = [json.loads(c.proto.spec)["data"] for c in test.get("plotly_chart") if "now taken for" in c.proto.alt]
        bands = [c for traces in specs for t in traces for c in t.get("customdata", []) if len(c) == 6 and str(c[5]).endswith("%") and t["x"][0] == 0.5]
        true, after = slowly(forget)
        assert {(i, j): n for i, j, _, _, n, _ in bands} == {
            (i, j): n for i in (forget if also else (3,)) for j in range(10) if (n := int(((true == i) & (after == j)).sum()))
        }


def test_nothing_forgotten_no_flow(open_page, shown):
    test = open_page("before_after")
    assert not test.exception and "Forget a class in the side bar" in shown(test)


def test_where_it_looks(open_page, shown):
    for method in ("integrated gradients", "grad-cam", "occlusion"):
        one, two = open_page("where", forget="3", method=method), open_page("where", forget="3", also=["5"], method=method)
        assert not two.exception and not two.error
        assert "With “3” and “5” forgotten" in shown(two)
        after = [next(c.proto.spec for c in t.get("plotly_chart") if c.proto.alt.startswith("“3”")) for t in (one, two)]
        assert json.loads(after[0])["data"][1]["z"] != json.loads(after[1])["data"][1]["z"]


def test_pages_about_one_class_say_so(open_page, shown):
    for page, alone in (("filters", True), ("insertion_deletion", True), ("forget", False), ("before_after", False), ("where", False)):
        assert ("looks at “3” alone" in shown(open_page(page, forget="3", also=["5"]))) is alone
    assert "alone" not in shown(open_page("filters", forget="3"))


def test_row_of_the_overview_forgets_it_alone(open_page, shown, monkeypatch):
    state = {"forget": "3", "several": True}
    monkeypatch.setattr(comparing.st, "session_state", state)
    comparing.forget_row(list("abc"), 1)
    assert state == {"forget": "b", "several": False}


def test_two_visitors(open_page, shown):
    first, second = open_page("forget", forget="3", also=["5"]), open_page("forget", forget="7", colours="greys")
    for _ in range(2):
        first.run()
        second.run()
        assert "forgets “3” and “5”?" in shown(first) and "forgets “7”?" in shown(second)
    widget(second, "toggle", "several").set_value(True).run()
    widget(second, "pills", "also").set_value(["1"]).run()
    assert "forgets “3” and “5”?" in shown(first.run()) and "forgets “7” and “1”?" in shown(second)


def test_pictures_that_are_not_here(open_page, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("WFVIZ_DATA", str(tmp_path / "empty"))
    shutil.copytree(ROOT / "checkpoints" / "digits-cnn", tmp_path / "digits-cnn")
    path = tmp_path / "digits-cnn" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": {"dataset": "mnist", "seed": 0}}))
    for page in ("forget", "before_after", "where"):
        test = open_page(page, checkpoints=tmp_path, forget="3", also=["5"])
        assert not test.exception and "pictures of mnist are not on this machine" in shown(test)


@pytest.mark.parametrize("page", ["forget", "before_after", "filters", "where"])
def test_many_classes_are_searched(open_page, shown, network, page):  # noqa: F811
    names = [f"kind {c}" for c in range(30)]
    test = open_page(page, checkpoints=network(names), network="made", forget="kind 2", also=["kind 29", "kind 7"])
    assert not test.exception and not test.warning
    assert widget(test, "multiselect", "also").value == ["kind 29", "kind 7"]
    assert "Switched off for kind 2, kind 29 and kind 7" in shown(test)


def test_half_of_the_pictures_are_of_the_forgotten_classes():
    labels = np.arange(200) % 10
    drawn = samples.draw(labels, (3, 5, 8), 0)
    assert len(drawn) == len(set(drawn)) == 12
    assert sorted(labels[drawn[:6]].tolist()) == [3, 3, 5, 5, 8, 8]
    assert not set(labels[drawn[6:]].tolist()) & {3, 5, 8}
    assert samples.draw(labels, (3, 5, 8), 0) == drawn != samples.draw(labels, (3, 5, 8), 1)
    assert len(samples.draw(labels, (), 0)) == 12 and len(samples.draw(labels[:4], (3,), 0)) == 4


# --- the camera, the pictures in the link, the colours ------------------------------------------


def photo(test, content: bytes):
    widget(test, "camera_input", "camera").upload("photo.jpg", content, "image/jpeg")
    return test.run()


@pytest.mark.parametrize("page", ["forget", "where"])
def test_camera(open_page, shown, page):
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(file, "JPEG")
    test = photo(open_page(page, source="camera", forget="3"), file.getvalue())
    assert not test.exception and not test.error
    assert ("what the network sees" if page == "forget" else "maps for") in shown(test)


@pytest.mark.parametrize("name", REFUSED)
def test_camera_that_sends_no_picture(open_page, name):
    test = photo(open_page("forget", source="camera", forget="3"), REFUSED[name])
    assert not test.exception and len(test.error) == 1 and test.error[0].value.endswith((".", "?"))


def test_shuffle_and_picture_stand_in_the_link(open_page):
    test = open_page("forget", forget="3")
    assert not {"shuffle", "picture"} & set(test.query_params)
    test.button(key="other").click().run()
    test.button(key="other").click().run()
    assert test.query_params["shuffle"] in ("2", ["2"])
    again = open_page("forget", forget="3", shuffle="2", picture="7")
    cards = [[c.proto.json for c in t.get("bidi_component") if c.proto.component_name == "wfviz_gallery"][0] for t in (test, again)]
    assert json.loads(cards[0])["cards"] == json.loads(cards[1])["cards"]
    assert [json.loads(card)["selected"] for card in cards] == [0, 7]


@pytest.mark.parametrize(("link", "said"), [({"picture": "12"}, "from 0 to 11"), ({"shuffle": "many"}, "from 0 to"), ({"shuffle": "-1", "picture": "1.5"}, "from 0 to 11")], ids=range(3))
def test_bad_pictures_in_the_link(open_page, shown, link, said):
    test = open_page("forget", forget="3", **link)
    assert not test.exception and said in shown(test) and len(test.warning) == len(link)
    assert not test.run().warning


def test_colours(open_page, shown):
    specs = {}
    for colours in style.PALETTES:
        test = open_page("before_after", forget="3", colours=colours)
        assert not test.exception and widget(test, "segmented_control", "colours").value == colours
        specs[colours] = "".join(c.proto.spec for c in test.get("plotly_chart"))
        assert style.PALETTES[colours][8].lower() in specs[colours].lower()
    assert len(set(specs.values())) == 3
    assert "unknown colours" in shown(open_page("forget", colours="rainbow"))


def test_a_part_that_runs_alone_keeps_the_colours():
    """The frame, which sets them, has not run before it in its thread."""

    def script():
        import streamlit as st

        from wfviz.figures.style import DEFAULT, class_color, use_palette
        from wfviz.ui.widgets import fragment

        st.session_state.setdefault("colours", "greys")
        use_palette(DEFAULT)  # as in a new thread
        fragment(lambda: st.text(class_color(0, 10)))()

    test = AppTest.from_function(script, default_timeout=30).run()
    assert not test.exception and test.text[0].value == style.PALETTES["greys"][0]
    test.session_state["colours"] = "tol muted"
    assert test.run().text[0].value == style.PALETTES["tol muted"][0]
    ui = Path(widgets.__file__).parent
    assert [path.name for path in ui.glob("*.py") if "st.fragment" in path.read_text("utf-8")] == ["widgets.py"]


def test_help_holds_every_definition(open_page, shown):
    said = shown(open_page("forget", forget="3"))
    for word in ("Acc_f", "Acc_r", "insertion", "deletion", "gate", "Lower is better, ideal: 0 %", "ideal: 1"):
        assert word in said
