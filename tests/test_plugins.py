"""Files of one's own: a network and a method work like any other, on the command line and in the dashboard."""

import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from wfviz import backbones, data, methods, plugins
from wfviz.checkpoints import read_card
from wfviz.cli import main
from wfviz.comparisons import read
from wfviz.errors import WfvizError
from wfviz.methods import registry
from wfviz.report import make_report
from wfviz.specs import BackboneSpec

PLUGIN = """
import torch
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


@pytest.mark.parametrize("before", [True, False], ids=["plugin first", "plugin last"])
def test_methods_are_listed_with_those_of_a_plugin_wherever_it_is_named(tmp_path, capsys, before):
    (tmp_path / "one.py").write_text(PLUGIN)
    words = ["--plugin", str(tmp_path / "one.py"), "--list-methods"]
    with pytest.raises(SystemExit) as end:
        main(["compare", *(words if before else [words[2], *words[:2]])])
    assert end.value.code == 0 and "my_own" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n\nundefined", "NameError: name 'undefined' is not defined (line 3)"), ("import sys\nsys.exit('bye')", "SystemExit: bye"),
        ("from wfviz.backbones import backbone\n@backbone('cnn')\ndef f(spec): pass", "registers 'cnn', which is there already"),
        ("from wfviz.methods import method\n@method('m', 'M', source='s', seed=3)\ndef f(*a): pass", "cannot be called seed"),
        ("from wfviz.methods import method\n@method('m', 'M', source='s', kind=object())\ndef f(*a): pass", "settings of m are numbers"),
    ],
)
def test_what_cannot_be_registered(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    assert said in told(plugins.load, tmp_path / "mine.py")
    assert backbones.recipe("cnn").make is backbones.cnn


def test_helpers_of_one_name_in_two_folders(tmp_path):
    """Each file has its own, and a change of what it imported makes it another method."""
    seen, path = [], list(sys.path)
    for folder, strength in (("a", 1), ("b", 2), ("b", 3)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "common_helper.py").write_text(f"STRENGTH = {strength}")
        file = tmp_path / folder / f"{folder}.py"
        file.write_text(f"from common_helper import STRENGTH\nfrom wfviz.methods import method\n@method('{folder}', 'M', source='s', strength=STRENGTH)\ndef f(*a): pass")
        plugins.load(file)
        seen.append((methods.get(folder).settings["strength"], methods.get(folder).text))
    assert [strength for strength, _ in seen] == [1, 2, 3] and seen[1][1] != seen[2][1] and "common_helper" not in sys.modules
    assert set(path) <= set(sys.path)


MAKES = {
    "raises": "raise RuntimeError('no such file')", "none": "return None", "few": "return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))",
    "pair": "return Pair()", "wide": "return nn.Linear(3, 10)", "good": "return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))",
}


def test_a_network_that_is_none_is_told(tmp_path):
    made = "".join(f"@backbone({name!r})\ndef {name}(spec):\n    {body}\n" for name, body in MAKES.items())
    (tmp_path / "mine.py").write_text("from torch import nn\nfrom wfviz.backbones import backbone\nclass Pair(nn.Flatten):\n    def forward(self, x): return x, x\n" + made)
    plugins.load(tmp_path / "mine.py")
    said = {name: told(backbones.build, BackboneSpec(name, 10, 1, 8)) for name in MAKES if name != "good"}
    assert "RuntimeError: no such file" in said["raises"] and "returned NoneType" in said["none"] and "[1, 7], not with logits [1, 10]" in said["few"]
    assert "answers one picture with tuple" in said["pair"] and "cannot be built for 1 x 8 x 8" in said["wide"]
    assert backbones.build(BackboneSpec("good", 10, 1, 8)).training and "give its file by --plugin" in told(backbones.build, BackboneSpec("nowhere", 10, 1, 8))


DATA = """
from dataclasses import replace
import torch
from wfviz.data import Data, Pictures, dataset, load_data

def change(name):
    def register(how):
        @dataset(name)
        def make(root, seed, download):
            return how(load_data("digits", root, seed))
        return make
    return register

empty = lambda p: p.subset(torch.arange(0))
change("listed")(lambda d: replace(d, name="listed", classes=list(d.classes)))
change("noval")(lambda d: replace(d, val=empty(d.val)))
change("floats")(lambda d: replace(d, train=Pictures(d.train.pixels / 255, d.train.labels)))
change("small")(lambda d: replace(d, test=Pictures(d.test.pixels, d.test.labels.int())))
change("from_one")(lambda d: replace(d, train=Pictures(d.train.pixels, d.train.labels + 1)))
change("nothing")(lambda d: None)
change("breaks")(lambda d: {}["key"])
"""


def test_a_data_set_of_ones_own(tmp_path, capsys):
    """And what is none is told before anything is trained on it."""
    (tmp_path / "mine.py").write_text(DATA)
    plugins.load(tmp_path / "mine.py")
    assert data.load_data("listed").classes == data.load_data("digits").classes
    said = {name: told(data.load_data, name) for name in ("noval", "floats", "small", "from_one", "nothing", "breaks")}
    assert "noval has no val pictures" in said["noval"] and "uint8 [1294, 1, 8, 8], not torch.float32" in said["floats"] and "torch.int32" in said["small"]
    assert "from 1 to 10" in said["from_one"] and "returned NoneType" in said["nothing"] and "KeyError" in said["breaks"]
    train = ["pretrain", "--dataset", "listed", "--backbone", "cnn", "--epochs", "1", "--train-pictures", "100", "--out", str(tmp_path / "made")]
    assert main(train) == 0
    assert read_card(tmp_path / "made")["command"].endswith(f"--plugin {tmp_path / 'mine.py'}")  # though it was loaded otherwise
    assert not plugins.needed(["pretrain", "--dataset", "digits", "--backbone", "cnn"]) and not plugins.needed([*train, f"--plugin={tmp_path / 'mine.py'}"])


def test_layers_are_chosen_before_the_training(tmp_path, capsys):
    """One that has none to gate by itself can be trained, and untrained with --layers; a wrong pattern is told at once."""
    (tmp_path / "mine.py").write_text(NETWORK.replace('layers=("eye",)', 'layers="ear"'))
    what = ["--dataset", "digits", "--backbone", "mine", "--plugin", str(tmp_path / "mine.py"), "--train-pictures", "100"]
    assert main(["pretrain", *what, "--out", str(tmp_path / "a")]) == 2
    assert "unknown layer 'ear'" in capsys.readouterr().err and not (tmp_path / "a").exists()
    (tmp_path / "mine.py").write_text(NETWORK.replace("self.head =", "self.more = nn.ModuleList(nn.Linear(4, 4) for _ in range(5))\n        self.head =").replace(', layers=("eye",)', ""))
    assert main(["pretrain", *what, "--epochs", "1", "--out", str(tmp_path / "b")]) == 0
    untrain = ["untrain", *what, "--steps", "2", "--no-evaluate"]
    assert main([*untrain, "--out", str(tmp_path / "c")]) == 2 and not (tmp_path / "c").exists() and "--layers" in capsys.readouterr().err
    assert main([*untrain, "--layers", "eye", "--out", str(tmp_path / "d")]) == 0 and read_card(tmp_path / "d")["layers"] == ["eye"]
    assert main([*untrain, "--from", str(tmp_path / "b"), "--layers", "eye", "--out", str(tmp_path / "e")]) == 0


def test_trained_weights_unasked_are_no_untrained_network(tmp_path, capsys):
    """`retrain` would start from what knows the class."""
    (tmp_path / "mine.py").write_text(NETWORK.replace("    return Mine(", "    import torch; torch.manual_seed(5)\n    return Mine("))
    from wfviz import checkpoints
    from wfviz.filtering import WFNet

    plugins.load(tmp_path / "mine.py")
    spec = BackboneSpec("mine", 10, 1, 8)
    net = WFNet(backbones.build(spec), 10, inputs=data.load_data("digits").inputs)
    checkpoints.save(net, tmp_path / "trained", {"backbone": asdict(spec), "data": {"dataset": "digits", "seed": 0}}, kind="backbone")
    asked = ["compare", "--dataset", "digits", "--backbone", "mine", "--from", str(tmp_path / "trained"), "--methods", "original", "--classes", "3", "--relearn", "0"]
    assert main([*asked, "--out", str(tmp_path / "compared")]) == 2 and "only `if spec.pretrained`" in capsys.readouterr().err


def test_a_method_that_changes_the_pictures_ends_the_comparison(tmp_path, capsys):
    """Every row after it would be wrong; those before it stay."""
    (tmp_path / "mine.py").write_text(PLUGIN.replace("    return model", "    data.train.labels[:5] = 0\n    return model"))
    asked = ["compare", "--dataset", "digits", "--backbone", "cnn", "--from", "checkpoints/digits-cnn", "--classes", "3", "--relearn", "0", "--plugin", str(tmp_path / "mine.py")]
    assert main([*asked, "--methods", "original,my_own,logit_mask", "--out", str(tmp_path / "made")]) == 2
    assert "my_own changed the pictures" in capsys.readouterr().err
    assert [row["method"] for row in read(tmp_path / "made").rows] == ["original"]
