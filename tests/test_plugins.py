"""Files of one's own: a network and a method work like any other, on the command line and in the dashboard."""

import os
import subprocess
import sys

import pytest

from wfviz import backbones, data, methods, plugins
from wfviz.checkpoints import read_card
from wfviz.cli import main
from wfviz.errors import WfvizError
from wfviz.methods import registry
from wfviz.report import make_report

PLUGIN = """
from wfviz.methods import method

@method("my_own", "My own", source="a test", strength=1.0)
def unlearn(model, forget, data, spec, progress):
    with torch.no_grad():
        model.fc3.bias[list(forget)] -= spec.strength
    return model
"""
NETWORK = """
from torch import nn
from wfviz.backbones import backbone

class Mine(nn.Module):
    def __init__(self, n, channels):
        super().__init__()
        self.eye = nn.Conv2d(channels, 6, 3, padding=1)
        self.head = nn.Linear(6 * 64, n)

    def forward(self, x):
        return self.head(self.eye(x).relu().flatten(1))

@backbone("mine", optimizer="adamw", lr=1e-2, epochs=2, least_steps=30, layers=("eye",))
def mine(spec):
    return Mine(spec.n_classes, spec.channels)
"""
UNTRAIN = ["untrain", "--dataset", "digits", "--backbone", "mine", "--steps", "5", "--no-evaluate", "--train-pictures", "200"]


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """What is registered here is gone after the test."""
    for room in (backbones, data, registry):
        monkeypatch.setattr(room, "_registry", dict(room._registry))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(plugins.VARIABLE, raising=False)


def told(call, *arguments) -> str:
    with pytest.raises(WfvizError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_network_of_ones_own_on_the_command_line(tmp_path, capsys):
    """Trained, untrained, evaluated, exported; without the file it is unknown, in a sentence."""
    file, out = tmp_path / "mine.py", tmp_path / "made"
    file.write_text(NETWORK)
    assert main([*UNTRAIN, "--out", str(out)]) == 2 and "mine" in capsys.readouterr().err
    more = ["--plugin", str(file)]
    assert main([*UNTRAIN, "--out", str(out), *more]) == 0
    card = read_card(out)
    assert card["layers"] == ["eye"] and card["backbone"]["name"] == "mine" and str(file) in card["command"]
    assert main(["evaluate", str(out), "--limit", "50", "--curves", "0", *more]) == 0 and "Acc_r" in capsys.readouterr().out
    assert main(["bake", str(out), "--forget", "3", "--out", str(tmp_path / "plain.safetensors"), *more]) == 0
    assert f"wfviz evaluate {out} --split test --limit 50 --curves 0 --plugin {file}\n" in make_report(out)
    backbones._registry.pop("mine")
    assert main(["evaluate", str(out)]) == 2 and "mine" in capsys.readouterr().err


def test_the_environment_names_files(tmp_path, monkeypatch, capsys):
    (tmp_path / "one.py").write_text(PLUGIN)
    (tmp_path / "two.py").write_text(NETWORK)
    monkeypatch.setenv(plugins.VARIABLE, os.pathsep.join([str(tmp_path / "one.py"), "", str(tmp_path / "two.py")]))
    assert plugins.from_environment() == ("my_own", "mine") and "mine" in backbones.names()
    with pytest.raises(SystemExit):
        main(["compare", "--list-methods"])
    assert "my_own" in capsys.readouterr().out
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "none.py"))
    assert main(["info", "anywhere"]) == 2 and "there is no file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "--list-methods"])
    assert "there is no file" in capsys.readouterr().err


def test_no_plugin_costs_nothing():
    script = "import sys; from wfviz import plugins; plugins.from_environment(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_plugin_may_import_what_lies_beside_it(own, tmp_path, monkeypatch):
    """And another text anywhere in it makes it another method."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_mine.py").write_text("SCALE = 1")
    texts = []
    for scale in ("SCALE", "2 * SCALE"):
        (tmp_path / "mine.py").write_text(f"from beside_mine import SCALE\nFACTOR = {scale}\n{PLUGIN}")
        plugins.load(tmp_path / "mine.py")
        texts.append(methods.get("my_own").text)
    assert texts[0] != texts[1] and "FACTOR" in texts[0] and methods.get("salun").text.startswith("@method")


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("def", "SyntaxError"), ("import nowhere", "No module named 'nowhere'"), ("x = 1", "registers nothing")],
)
def test_a_broken_plugin_is_told(own, tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    assert said in told(plugins.load, tmp_path / "mine.py")


def test_a_missing_plugin_is_told(tmp_path):
    assert told(plugins.load, tmp_path / "none.py") == f"there is no file {tmp_path / 'none.py'}"
