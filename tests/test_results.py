"""RESULTS.md from stored cards and comparisons."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests import comparison_fixture
from wfviz import checkpoints, comparisons
from wfviz.backbones import build
from wfviz.cli import main
from wfviz.files import write_json
from wfviz.filtering import WFNet
from wfviz.results import cell, write
from wfviz.scores import Spread
from wfviz.specs import BackboneSpec

ROOT = Path(__file__).parents[1]


def rows_of(text: str, title: str) -> dict[str, list[str]]:
    """The first table under a heading: {first cell: the others}."""
    part = text.split(f"## {title}", 1)[1]
    lines = [line for line in re.split(r"\n\n", part.split("\n| ", 1)[1])[0].splitlines()]
    return {cells[0]: cells[1:] for line in lines[2:] if (cells := [c.strip() for c in line.strip("| ").split(" | ")])}


def test_the_tables_hold_what_is_stored(tmp_path, capsys):
    folder = comparison_fixture.write(tmp_path / "comparisons" / "mine")
    out = tmp_path / "R.md"
    assert main(["results", str(ROOT / "checkpoints"), str(tmp_path / "comparisons"), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    card = checkpoints.read_card(ROOT / "checkpoints" / "digits-cnn")
    networks = rows_of(text, "WF-Nets")
    assert f"{card['metrics']['train']['accuracy']:.1%}".replace("%", " %") == networks["`digits-cnn`"][2]
    assert card["command"] in text
    found = comparisons.read(folder)
    table = rows_of(text, "Comparison `digits-cnn`")
    for method in ("original", "svd"):
        kept = [row["splits"]["test"]["acc_r"] for row in found.rows if row["method"] == method and row["state"] == "done"]
        line = next(cells for first, cells in table.items() if first.startswith(found.title(method)))
        assert line[0].startswith(f"{np.mean(kept):.1%} ± {100 * np.std(kept):.1f} ({min(kept):.1%} ".replace("%", " %"))
    for row in found.rows:
        assert row["state"] == "done" or row["error"] in text


def test_rows_of_an_earlier_network_say_so(tmp_path, card, net):
    """A checkpoint that was made anew under its name is not what the rows of a comparison started from."""
    checkpoints.save(net, tmp_path / "n" / "mine", card)
    weights = checkpoints.read_card(tmp_path / "n" / "mine")["digests"]["backbone"]
    said = []
    for digest, folder in ((weights, "checkpoints/mine"), ("0" * 64, "checkpoints/mine"), ("0" * 64, "runs/other")):
        write_json(tmp_path / "n" / "rows" / "comparison.json", comparison_fixture.comparison(weights=digest, folder=folder))
        write(tmp_path / "R.md", tmp_path / "n")
        said.append("is an earlier network than the `mine` above" in (tmp_path / "R.md").read_text(encoding="utf-8"))
    assert said == [False, True, False]


def test_cells():
    share = Spread(0.991, 0.003, 0.982, "8", 10)
    assert cell(share, "share") == "99.1 % ± 0.3 (98.2 % 8)"
    assert cell(Spread(41.25, 1, 50, "1", 10, never=4), "epochs") == "> 41.2 (4)" and cell(None, "share") == "-"
    assert cell(Spread(2048, 0, 2048, "1", 10), "bytes") == "2.0 KiB" and cell(Spread(0.5, 0.25, 1, "1", 3), "nats") == "0.500 ± 0.250"
    one = Spread(0.991, 0.0, 0.991, "8", 1)
    assert cell(one, "share") == "99.1 %" and cell(one, "nats") == "0.991"


def test_nothing_to_write_is_one_sentence(tmp_path, capsys):
    assert main(["results", str(tmp_path), "--out", str(tmp_path / "R.md")]) == 2
    assert "neither a checkpoint nor a comparison" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_cell_of_the_paper(tmp_path, card, net):
    """A network of the paper's grid fills its cell with the numbers of the training split."""
    whole = {"pictures": 10, "accuracy": 0.9, "acc_r": {"mean": 0.876, "std": 0.0, "worst": 0.8, "worst_class": "1"},
             "acc_f": {"mean": 0.012, "std": 0.0, "worst": 0.1, "worst_class": "2"}}
    made = {**card, "backbone": {**card["backbone"], "name": "resnet18"}, "data": {"dataset": "mnist"}, "metrics": {"train": whole}}
    checkpoints.save(net, tmp_path / "n" / "one", made)
    write(tmp_path / "R.md", tmp_path / "n")
    text = (tmp_path / "R.md").read_text(encoding="utf-8")
    assert "| MNIST | ResNet-18 | 94.0 % | 87.6 % | 9.68 % | 1.2 % | 0.79 | - | 0.05 | - |" in text
    assert text.count("| open | ") == 14 and "--cells mnist-vgg16` does it" in text  # the first that is open
    assert "qkv alone" not in text and "the paper's own settings" not in text
    theirs = {**made, "untraining": {"name": "paper", "steps": 300}, "metrics": {"train": {**whole, "accuracy": 0.5, "acc_r": {**whole["acc_r"], "mean": 0.5}}}}
    checkpoints.save(net, tmp_path / "n" / "another", theirs)  # comes first by its name
    write(tmp_path / "R.md", tmp_path / "n")
    ours, same = (tmp_path / "R.md").read_text(encoding="utf-8").split("the paper's own settings")
    assert "| MNIST | ResNet-18 | 94.0 % | 87.6 % | 9.68 % |" in ours and "| MNIST | ResNet-18 | 94.0 % | 50.0 % | 9.68 % | 1.2 % | 0.79 | - | 0.05 | - | 300 |" in same


@pytest.mark.parametrize(("layers", "marked"), [(None, False), (("blocks.*",), True)])
def test_a_vit_with_more_gates_than_the_papers(tmp_path, layers, marked):
    spec = BackboneSpec("vit_micro", 3, 1, 8)
    whole = {"pictures": 10, "accuracy": 0.9, **{k: {"mean": 0.5, "std": 0.0, "worst": 0.5, "worst_class": "1"} for k in ("acc_r", "acc_f")}}
    card = {"backbone": {**spec.to_dict(), "name": "vit_tiny"}, "data": {"dataset": "mnist"}, "metrics": {"train": whole}}
    checkpoints.save(WFNet(build(spec), 3, layers), tmp_path / "n" / "one", card)
    write(tmp_path / "R.md", tmp_path / "n")
    text = (tmp_path / "R.md").read_text(encoding="utf-8")
    assert ("| MNIST | ViT-T \\* | 93.5 % | 50.0 % |" in text) == marked == ("qkv alone" in text)


def test_frozen_blocks_stand_beside_those_of_the_source(tmp_path):
    """One line for every freeze set of knowledge gap alignment, with original and retrained network, and the source's where it has the cell."""
    kept = comparison_fixture.comparison(forget=(3,), seeds=(0,), methods=("original", "svd", "retrain"))
    known = {row["method"]: row for row in kept["rows"]}
    svd = comparison_fixture.row(np.random.default_rng(1), "svd", 3, 0)
    variants = [{**svd, "method": f"kga.freeze={blocks}", "title": f"KGA, freeze {blocks}", "settings": {"freeze": blocks}, "js_original": 0.021, "js": 0.034}
                for blocks in ("0", "12")]
    folder = tmp_path / "c" / "one"
    made = {**kept, "dataset": "cifar10", "backbone": {"name": "vgg11"}, "methods": ["original", "retrain", *(v["method"] for v in variants)],
            "rows": [known["original"], known["retrain"], *variants]}
    write_json(folder / comparisons.COMPARISON, made)
    write(tmp_path / "R.md", tmp_path / "c")
    text = (tmp_path / "R.md").read_text(encoding="utf-8")
    three = " / ".join(f"{row['splits']['test']['acc_f']:.1%}".replace("%", " %") for row in (known["original"], svd, known["retrain"]))
    line = next(line for line in text.splitlines() if line.startswith("| KGA, freeze 12 | 12 |"))
    assert line.startswith("| KGA, freeze 12 | 12 | 0.021 | 0.034 |") and f"| {three} |" in line
    assert line.endswith("| 0.032, 0.005 | 72 % / 10 % / 47 % |")
    write_json(folder / comparisons.COMPARISON, {**made, "methods": made["methods"][:3], "rows": made["rows"][:3]})  # one freeze set is no table
    write(tmp_path / "R.md", tmp_path / "c")
    assert "frozen blocks" not in (tmp_path / "R.md").read_text(encoding="utf-8")


def test_the_repository_shows_what_it_holds(tmp_path, monkeypatch):
    """RESULTS.md is what the command writes from the stored cards and comparisons."""
    monkeypatch.chdir(Path(__file__).parents[1])
    write(tmp_path / "R.md")
    assert (tmp_path / "R.md").read_text(encoding="utf-8") == Path("RESULTS.md").read_text(encoding="utf-8"), "python -m wfviz results"
