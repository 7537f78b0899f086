"""Networks with many classes and with class names that look like something else."""

import numpy as np
import pytest

from tests.pages.conftest import PAGES, widget
from wfviz.backbones import CNN
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import Evaluation
from wfviz.specs import InputSpec

ODD = ["none", "*star*", ":red[x]", "<b>bold</b>", "a_b_c", "$x$", "[link](http://x)", "a" * 120, "ünïcödé", "3"]


@pytest.fixture
def network(tmp_path, roughen):
    """`network(classes)`: the folder of a checkpoint with these classes, random weights and a random evaluation."""

    def make(classes):
        n, rng = len(classes), np.random.default_rng(0)
        net = WFNet(CNN(n, 1, 8), n, ("conv*", "fc*"), classes=tuple(classes), inputs=InputSpec(1, 8, (0.3,), (0.4,)))
        net = roughen(net, dtype=next(net.parameters()).dtype)
        confusion = rng.integers(0, 3, (n + 1, n, n)).astype(np.int32)
        evaluation = Evaluation(
            counts={"test": confusion[0].sum(1).astype(np.int64)},
            correct={"test": np.stack([np.diagonal(m) for m in confusion]).astype(np.int64)},
            confusion={"test": confusion} if n <= 100 else {},
            taken_for={"test": confusion[1:, 0].astype(np.int64)},
        )
        backbone = {"name": "cnn", "n_classes": n, "channels": 1, "size": 8, "pretrained": False}
        from wfviz.checkpoints import save

        save(net, tmp_path / "made", {"backbone": backbone, "data": {"dataset": "unknown", "seed": 0}}, evaluation=evaluation)
        return tmp_path

    return make


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("n", [60, 150])
def test_few_and_many_classes(open_page, network, page, n):
    names = [f"kind {c}" for c in range(n)]
    for forget in ("none", f"kind {n - 1}"):
        test = open_page(page, checkpoints=network(names), network="made", forget=forget)
        assert not test.exception and not test.warning
    kind = "pills" if n <= 20 else "selectbox"
    assert len(widget(test, kind, "forget").options) == n + 1
    assert test.title[0].value


def test_pictures_are_chosen_where_no_matrix_is_shown(open_page, shown, network):
    test = open_page("before_after", checkpoints=network([f"kind {c}" for c in range(150)]), network="made", forget="kind 3")
    assert "no confusion matrix" in shown(test) and "Choose a true class" in shown(test)
    widget(test, "selectbox", "true").set_value("kind 3").run()
    widget(test, "selectbox", "taken").set_value("kind 0").run()
    assert not test.exception and "the pictures of unknown are not on this machine" in shown(test).lower()


def test_a_class_that_is_called_any(open_page, network):
    test = open_page("before_after", checkpoints=network(["any", "b", "c"]), network="made")
    assert not test.exception and list(widget(test, "selectbox", "true").options) == ["(any)", "any", "b", "c"]
    widget(test, "selectbox", "true").set_value("any").run()
    assert not test.button(key="no_cell").disabled


def test_a_filter_that_is_not_in_the_graph_of_many_classes(open_page, shown, network):
    test = open_page("filters", checkpoints=network([f"kind {c}" for c in range(60)]), network="made", layer="fc1", shared="10", isolate="filter 3", top="1")
    assert not test.exception and "the graph is drawn for one of them" in shown(test)


@pytest.mark.parametrize("page", PAGES)
def test_odd_names(open_page, network, page):
    test = open_page(page, checkpoints=network(ODD), network="made", forget=ODD[1])
    for name in ODD:
        widget(test, "pills", "forget").set_value(name).run()
        assert not test.exception and not test.warning
        assert name in test.title[0].value.replace("\\", "")
    widget(test, "pills", "forget").set_value("(none)").run()
    assert "class" in test.title[0].value or "mix up?" in test.title[0].value
