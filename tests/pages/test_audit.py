"""Page 7: four questions, each with a verdict, and the way back."""

import json
import re

import pytest

from tests.comparison_fixture import write
from tests.pages.conftest import ROOT, widget
from wfviz.checkpoints import read_card, read_evaluation
from wfviz.comparisons import COMPARISON, read
from wfviz.figures.verdicts import QUESTIONS


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("comparisons")
    write(root / "digits", weights=read_card(ROOT / "checkpoints" / "digits-cnn")["digests"]["weights"])
    return root


@pytest.fixture
def audit(open_page, monkeypatch, stored):
    def run(root=stored, **link):
        monkeypatch.setenv("WFVIZ_COMPARISONS", str(root))
        return open_page("audit", **link)

    return run


@pytest.mark.parametrize("forget", ["none", "3"])
def test_opens(audit, shown, stored, forget):
    test = audit(forget=forget)
    assert not test.exception and not test.error and not test.warning
    assert test.title[0].value == ("Is a forgotten class really gone?" if forget == "none" else "Is “3” really gone?")
    assert [s.value for s in test.subheader] == [*QUESTIONS.values(), "Open the gates again"]
    assert len(test.get("plotly_chart")) == 5 and all(len(c.proto.alt) > 20 for c in test.get("plotly_chart"))
    said, rows = shown(test), read(stored / "digits").done("wfnet", None if forget == "none" else 3)
    recall = 100 * sum(row["probe"]["features"] for row in rows) / len(rows)
    assert "silenced rather than gone" in said and f"still finds {recall:.1f} %" in said and "Relearned after 2 epochs" in said
    assert [str(m.value).rsplit(" ", 1)[-1].rstrip("]") for m in test.markdown if "-badge[" in str(m.value)][:3] == ["No", "Partly", "Yes"]


def test_every_method(audit, shown):
    test = audit(forget="7")
    for title in widget(test, "selectbox", "audited").options:
        widget(test, "selectbox", "audited").set_value(title).run()
        assert not test.exception and f"With {title}," in shown(test)
        assert len(test.get("plotly_chart")) == 5
        again = {"Weight filtering, single weights": "without the mask", "WF-Net": "with all gates open", "Original": "forgets nothing", "Logit masking": "without the mask “7” is back"}
        assert again.get(title, "has no gates to open") in shown(test) and ("has no gates to open" in shown(test)) == (title not in again)


def test_worst_case(audit, shown):
    test = audit(forget="3")
    mean = test.dataframe[0].value.set_index("Network")["strongest"]
    widget(test, "toggle", "worst").set_value(True).run()
    assert not test.exception and re.search("At “[037]”, the worst class of WF-Net, the strongest attack", shown(test))
    worst = test.dataframe[0].value.set_index("Network")["strongest"]
    assert worst["WF-Net"] >= mean["WF-Net"] and (worst.index == mean.index).all()
    assert audit(forget="3", worst="true").session_state["worst"] is True


def test_opening_the_gates(audit, shown, stored, tmp_path):
    test = audit(forget="3")
    assert "bit for bit" in shown(test) and "another original" not in shown(test)
    test.button(key="open_gates").click().run()
    assert not test.exception and widget(test, "pills", "forget").value == "none" and test.button(key="open_gates").disabled
    assert [link.proto.label for link in test.get("page_link")] == ["See it on the page Forget"]
    test.switch_page("../../pages/forget.py").run()
    assert not test.exception and "Nothing is forgotten" in shown(test)


def test_the_proof_is_counted(audit, shown, tmp_path):
    """Where the original's answers are those of the network with all gates open, the page says so, with their number; other weights are others."""
    folder = write(tmp_path / "digits", forget=(3,), seeds=(0,))
    made = json.loads((folder / COMPARISON).read_text())
    counted = read_evaluation(ROOT / "checkpoints" / "digits-cnn").confusion["test"][0]
    next(row for row in made["rows"] if row["method"] == "original")["splits"]["test"]["confusion"] = counted.tolist()
    made["original"].pop("weights")
    (folder / COMPARISON).write_text(json.dumps(made))
    said = shown(audit(tmp_path, forget="3"))
    assert f"gives the {counted.sum():,} test pictures the very answers of the original" in said
    made["original"]["weights"] = "1" * 64
    (folder / COMPARISON).write_text(json.dumps(made))
    assert "starts from another original than this comparison" in shown(audit(tmp_path, forget="3"))


def test_only_what_stands_beside_each_other_counts(audit, shown, tmp_path):
    """Where the retrained network has finished one class of three, a mean over three says nothing beside it."""
    folder = write(tmp_path / "fewer", forget=(0, 3, 7), seeds=(0,))
    made = json.loads((folder / COMPARISON).read_text())
    made["rows"] = [row for row in made["rows"] if row["method"] != "retrain" or row["forget"] == 7]
    (folder / COMPARISON).write_text(json.dumps(made))
    test = audit(tmp_path, forget="none", audited="WF-Net")
    assert not test.exception and "Only the 1 of 3 rows count" in shown(test)
    for forget in ("3", "7"):  # a class by itself: all it has
        assert "rows count" not in shown(audit(tmp_path, forget=forget, audited="WF-Net"))
    alone = next(row for row in made["rows"] if row["method"] == "wfnet" and row["forget"] == 7)
    assert f"WF-Net still recognises {100 * alone['splits']['test']['acc_f']:.1f} % of" in shown(test)


def test_without_references(audit, shown, tmp_path):
    write(tmp_path / "bare", methods=("wfnet", "svd"), forget=(3,), seeds=(0,))
    test = audit(tmp_path, forget="3")
    assert not test.exception and "Left open: is it still inside, does it come back and can one tell it was there." in shown(test)
    assert len(test.get("plotly_chart")) == 5


def test_class_whose_rows_have_failed(audit, shown, tmp_path):
    write(tmp_path / "one", forget=(3, 7), seeds=(0,))
    test = audit(tmp_path, forget="7", audited="SVD class forgetting")
    assert not test.exception and "SVD class forgetting has no finished row for “7”" in shown(test)
    assert "SVD did not converge" in shown(test)


def test_several_at_once(audit, shown):
    test = audit(forget="3", also="7")
    assert not test.exception and "looks at “3” alone" in shown(test) and "“3”" in test.title[0].value


@pytest.mark.parametrize(("link", "said"), [({"audited": "wfnets"}, "unknown method"), ({"worst": "perhaps"}, "unknown worst case")])
def test_bad_links(audit, shown, link, said):
    test = audit(**link)
    assert not test.exception and said in shown(test) and len(test.get("plotly_chart")) == 5


def test_report_is_offered(audit):
    assert [b.label for b in audit(forget="3").get("download_button") if b.proto.id.endswith("audit_report")] == ["Make the report of the network"]
