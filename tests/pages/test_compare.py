"""Page 6: the table, two methods side by side, prices; and what is said where there is nothing to compare."""

import json
import shlex
import shutil
from dataclasses import replace

import pytest

from tests.comparison_fixture import METHODS, comparison, write
from tests.pages.conftest import ROOT, widget
from wfviz.checkpoints import read_card
from wfviz.cli import parser
from wfviz.comparisons import read
from wfviz.scores import SCORES, Spread, lines
from wfviz.ui import cached, compared, screening

VIEWS = {"confusion": 3, "accuracy": 2, "features": 2 + 3}
CHARTS = VIEWS["confusion"] + 2 + 1  # with the prices and the strip


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Two comparisons: `beta` is of the shipped digits-cnn, `alpha` of another network, with fewer rows."""
    root = tmp_path_factory.mktemp("comparisons")
    write(root / "beta", weights=read_card(ROOT / "checkpoints" / "digits-cnn")["digests"]["weights"])
    write(root / "alpha", forget=(3,), seeds=(0,), methods=("wfnet", "original", "svd"))
    return root


@pytest.fixture
def compare(open_page, monkeypatch, stored):
    def run(root=stored, page="compare", **link):
        monkeypatch.setenv("WFVIZ_COMPARISONS", str(root))
        return open_page(page, **link)

    return run


def table(test):
    return next(d for d in test.dataframe if d.key == "screening").value


@pytest.mark.parametrize("forget", ["none", "3"])
def test_opens(compare, shown, forget):
    test = compare(forget=forget)
    assert not test.exception and not test.error and not test.warning
    assert test.title[0].value == ("Which method forgets best?" if forget == "none" else "Which method forgets “3” best?")
    assert widget(test, "selectbox", "comparison").value == "beta"  # it starts from the network, though alpha is the first
    assert len(test.get("plotly_chart")) == CHARTS and all(len(c.proto.alt) > 20 for c in test.get("plotly_chart"))
    assert list(table(test)["Method"]) == ["Original", "Retrained without the class", "Logit masking", "WF-Net", "Random labels", "SVD class forgetting", "Forget <gently>"]
    assert ("SVD class forgetting failed for “7”: LinAlgError" in shown(test)) == (forget == "none")
    assert ("failed" in table(test).columns) == (forget == "none")


def test_table_holds_the_stored_numbers(compare, stored):
    rows = read(stored / "beta").done("wfnet", 3)
    mean = 100 * sum(row["splits"]["train"]["acc_r"] for row in rows) / 2
    shown = table(compare(forget="3", split="train"))
    assert shown.loc[shown["Method"] == "WF-Net", "Acc_r ↑"].item().startswith(f"{mean:.1f} ± ")
    assert shown.loc[shown["Method"] == "Forget <gently>", "relearn ↑"].item() == "> 12"
    assert shown.loc[shown["Method"] == "Random labels", "over-forgets"].item() == "2 of 2"


def test_every_sort_keeps_the_references_on_top(compare, stored):
    test = compare()
    control = widget(test, "selectbox", "sort")
    best = sorted(lines(read(stored / "beta"), "test")[3:], key=lambda line: line.scores["Acc_f"].mean)
    for name in control.options:
        widget(test, "selectbox", "sort").set_value(name).run()
        assert not test.exception and list(table(test)["Method"])[:3] == ["Original", "Retrained without the class", "Logit masking"]
        if name == "Acc_f":
            assert list(table(test)["Method"])[3:] == [line.title for line in best]


def test_worst_class_by_name(compare, stored):
    test = compare()
    widget(test, "segmented_control", "numbers").set_value("worst class").run()
    rows = read(stored / "beta").done("random_labels")
    worst = max(rows, key=lambda row: row["splits"]["test"]["acc_f"])
    said = table(test).loc[lambda t: t["Method"] == "Random labels", "Acc_f ↓"].item()
    assert said == f"{worst['forget']}: {100 * worst['splits']['test']['acc_f']:.1f}"


@pytest.mark.parametrize("view", VIEWS)
def test_any_two_methods(compare, shown, view):
    test = compare(forget="3", beside=view)
    for first, second in (("Forget <gently>", "Logit masking"), ("Original", "Original")):
        widget(test, "selectbox", "first").set_value(first)
        widget(test, "selectbox", "second").set_value(second).run()
        assert not test.exception and len(test.get("plotly_chart")) == VIEWS[view] + 2 + 1
        assert all(len(c.proto.alt) > 20 for c in test.get("plotly_chart"))
        for title in (first, second):
            assert (f"{title} takes" in shown(test)) == (title != "Original")  # which forgets nothing


def test_map_by_umap_where_every_network_has_one(compare, shown, stored, tmp_path):
    test = compare(forget="3", beside="features")
    assert "in the PCA plane" in shown(test)
    widget(test, "segmented_control", "projection").set_value("UMAP").run()
    assert not test.exception and "by UMAP of the original's features" in shown(test)
    made = json.loads((stored / "beta" / "comparison.json").read_text())
    for row in made["rows"]:
        if row["method"] == "original":
            del row["map"]["umap_x"], row["map"]["umap_y"]
    (tmp_path / "comparison.json").write_text(json.dumps(made))
    test = compare(tmp_path, forget="3", beside="features", projection="UMAP")
    assert not test.exception and "in the PCA plane" in shown(test)
    assert "projection" not in {control.key for control in test.get("segmented_control")}


def test_ticking_rows():
    shown = ["original", "retrain", "wfnet", "svd"]
    assert screening.pair_after([1, 2, 3], ("wfnet", "retrain"), shown) == ("wfnet", "svd")  # a third replaces the second
    assert screening.pair_after([1], ("wfnet", "retrain"), shown) == ("retrain", "wfnet")  # the one that is left comes first
    assert screening.pair_after([2], ("wfnet", "retrain"), shown) == ("wfnet", "retrain")
    assert screening.pair_after([], ("wfnet", "retrain"), shown) == ("wfnet", "retrain")
    assert screening.pair_after([0, 99], ("wfnet", "retrain"), shown) == ("wfnet", "original")


def test_another_comparison(compare, shown):
    test = compare(forget="3")
    widget(test, "selectbox", "comparison").set_value("alpha").run()
    assert not test.exception and "It does not start from digits-cnn" in shown(test)
    assert list(table(test)["Method"]) == ["Original", "WF-Net", "SVD class forgetting"] and "Acc_r ↑" in table(test)
    assert widget(test, "selectbox", "second").options == ["Original", "WF-Net"]  # svd has failed
    assert "It was not measured" not in shown(compare(forget="3", comparison="alpha", beside="features"))
    test = compare(forget="5", comparison="alpha")
    assert not test.exception and "“5” is not among the classes forgotten" in shown(test)
    assert test.title[0].value == "Which method forgets best?"


def test_comparison_of_another_kind(compare, shown, stored, tmp_path):
    shutil.copytree(stored / "alpha", tmp_path / "only")
    test = compare(tmp_path)
    assert not test.exception and "It starts from another original than digits-cnn" in shown(test)
    test.selectbox(key="network").set_value("mnist-cnn").run()
    assert not test.exception and "No comparison starts from mnist-cnn; this is the first one there is" in shown(test)


@pytest.mark.parametrize("page", ["compare", "audit"])
def test_no_comparison_at_all(compare, tmp_path, page, shown):
    test = compare(tmp_path, page)
    assert not test.exception and "There is no comparison yet" in shown(test) and test.title[0].value.endswith("?")
    command = test.code[0].value
    assert command.startswith("python -m wfviz compare --dataset digits --backbone cnn --from checkpoints/digits-cnn --out") and "--image-size" not in command
    network = next(iter(cached.networks()[0].values()))
    card = {**network.card, "data": {"dataset": "my pictures"}, "inputs": {**network.card["inputs"], "size": 64}}
    parser().parse_args(words := shlex.split(compared.command(replace(network, card=card)))[3:])
    assert words[1:3] == ["--dataset", "my pictures"] and words[-2:] == ["--image-size", "64"]


@pytest.mark.parametrize("page", ["compare", "audit"])
def test_damaged_and_vanished(compare, stored, tmp_path, page, shown):
    shutil.copytree(stored, tmp_path / "all")
    (tmp_path / "all" / "alpha" / "comparison.json").write_text("{")
    test = compare(tmp_path / "all", page, forget="3")
    assert not test.exception and len(test.warning) == 1 and "comparison.json is damaged" in shown(test)
    assert len(test.get("plotly_chart")) > 4
    shutil.rmtree(tmp_path / "all" / "beta")
    test.run()
    assert not test.exception and "There is no comparison yet" in shown(test)


@pytest.mark.parametrize("page", ["compare", "audit"])
def test_everything_failed(compare, tmp_path, page, shown):
    made = comparison(methods=("svd",), forget=(7,), seeds=(0,))
    (tmp_path / "comparison.json").write_text(json.dumps(made))
    test = compare(tmp_path, page)
    assert not test.exception and "SVD did not converge" in shown(test)


def test_numbers_that_were_not_measured(compare, tmp_path, shown):
    made = comparison(methods=("wfnet",), forget=(3,), seeds=(0,))
    keep = ("method", "title", "forget", "seed", "state", "splits")
    made["rows"] = [{key: row[key] for key in keep} for row in made["rows"]]
    (tmp_path / "comparison.json").write_text(json.dumps(made))
    assert not compare(tmp_path, "audit", forget="3").exception
    for view in VIEWS:
        test = compare(tmp_path, forget="3", beside=view)
        assert not test.exception and ("It was not measured" in shown(test)) == (view == "features")


def test_unfinished_comparison_says_so(compare, tmp_path, shown):
    made = comparison(methods=("wfnet", "svd"), forget=(3, 7), seeds=(0,))
    made["rows"] = [row for row in made["rows"] if row["forget"] == 3]
    (tmp_path / "comparison.json").write_text(json.dumps(made))
    said = shown(compare(tmp_path))
    assert "2 of 4 rows so far" in said and "Over 1 forgotten class," in said
    assert "rows so far" in shown(compare(tmp_path, "audit")) and "rows so far" not in shown(compare())


@pytest.mark.parametrize(("link", "said"), [
    ({"sort": "acc"}, "unknown sort by"), ({"numbers": "all"}, "unknown numbers"), ({"first": "WF"}, "unknown first method"),
    ({"second": "x" * 500}, "unknown second method"), ({"beside": "map"}, "unknown side by side"), ({"comparison": "../beta"}, "unknown comparison"),
])  # fmt: skip
def test_bad_links(compare, shown, link, said):
    test = compare(**link)
    assert not test.exception and said in shown(test) and len(test.get("plotly_chart")) == CHARTS


def test_file_of_numbers(stored):
    numbers = screening.as_numbers(lines(read(stored / "beta"), "test"))
    assert list(numbers["method"])[3:] == [m for m in METHODS if not METHODS[m][2]]
    assert {"Acc_r mean", "Acc_r std", "Acc_f worst", "Acc_f worst class", "relearn never", "failed"} <= set(numbers.columns)


def test_how_the_rows_were_made(compare, stored):
    test = compare()
    made = next(d.value for d in test.dataframe if "Settings" in d.value.columns)
    assert list(made["Method"])[:2] == ["Original", "Retrained without the class"] and set(made["Settings"]) == {"lr 0.1"} and all(made["Source"])
    assert json.loads((stored / "beta" / "comparison.json").read_text())["command"] in [c.value for c in test.code]


def test_cells_say_no_more_than_was_measured():
    what = next(one for one in SCORES if one.name == "relearn")
    told = [screening.cell(what, Spread(mean, std, 1, "cat", 10, never), False) for mean, std, never in ((1.3, 0.458, 0), (3, 0, 0), (11.25, 2.04, 2), (100, 0, 10))]
    assert told == ["1.3 ± 0.5", "3 ± 0", "≥ 11.2 ± 2", "> 100"]


def test_settings_read_as_words():
    assert screening.settings({"steps": 60, "lr": 1e-4, "freeze": "12", "checkpoint": "", "shares": [0.3, 1.0]}) == "steps 60, lr 0.0001, freeze 12, shares [0.3, 1.0]"
    assert screening.settings({}) == ""
