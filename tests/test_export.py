"""A row of gates exported as a plain network."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from wfviz import checkpoints
from wfviz.backbones import CNN
from wfviz.errors import WfvizError
from wfviz.export import bake_to
from wfviz.filtering import WFNet

X = torch.randn(7, 1, 8, 8)


@pytest.fixture
def made(net, card, tmp_path) -> dict:
    net.save(tmp_path / "net", card)
    return checkpoints.read_card(tmp_path / "net")


def wanted_about(made: dict, forgotten: list[str]) -> dict:
    return {
        "backbone": made["backbone"], "inputs": made["inputs"], "classes": made["classes"], "forgotten": forgotten, "source_weights": made["digests"]["weights"],
    }


@pytest.mark.parametrize("forget", [(3,), (0, 9)], ids=str)
def test_safetensors_hold_a_plain_network(net, made, forget, tmp_path):
    path = tmp_path / "deeper" / "plain.safetensors"
    bake_to(net, forget, path, made)
    plain = CNN(10, 1, 8).eval()
    plain.load_state_dict(load_file(path))
    torch.testing.assert_close(plain(X), net(X, forget=forget))
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["wfviz"]) == wanted_about(made, [str(c) for c in forget])


def test_onnx_gives_the_same_logits_for_every_batch(net, made, tmp_path):
    pytest.importorskip("onnxscript", reason="the ONNX exporter is optional")
    onnx, runtime = pytest.importorskip("onnx", reason="onnx is optional"), pytest.importorskip("onnxruntime", reason="onnxruntime is optional")
    path = tmp_path / "plain.onnx"
    bake_to(net, (3,), path, made)
    about = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert json.loads(about["wfviz"]) == wanted_about(made, ["3"]) and [p.name for p in tmp_path.glob("*onnx*")] == ["plain.onnx"]
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        (logits,) = session.run(["logits"], {"pictures": X[:batch].numpy()})
        np.testing.assert_allclose(logits, net(X[:batch], forget=3).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["plain.pt", "plain", "plain.safetensors.gz", ".onnx"])
def test_another_ending_is_refused(net, made, name, tmp_path):
    with pytest.raises(WfvizError, match=".safetensors or .onnx"):
        bake_to(net, (3,), tmp_path / "new" / name, made)
    assert not (tmp_path / "new").exists()


def test_onnx_needs_to_know_the_size(net, made, tmp_path):
    with pytest.raises(WfvizError):
        bake_to(WFNet(CNN(10, 1, 8), 10), (3,), tmp_path / "new" / "plain.onnx", made)
    assert not (tmp_path / "new").exists()


def test_an_old_file_survives_a_failed_export(net, made, tmp_path, monkeypatch):
    path = tmp_path / "plain.safetensors"
    path.write_text("old")

    def torn(_tensors, temporary, _about):
        temporary.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr("wfviz.export.save_file", torn)
    with pytest.raises(OSError, match="disk full"):
        bake_to(net, (3,), path, made)
    assert path.read_text() == "old" and {p.name for p in tmp_path.iterdir()} == {"plain.safetensors", "net"}


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 10)
        self.c = nn.Linear(16, 16)
        self.c.weight = self.b.weight

    def forward(self, x):
        return self.head(self.c(self.b(self.a(x.flatten(1)).relu()).relu()).relu())


def test_shared_weights_with_gates_that_differ(made, roughen, tmp_path):
    """A plain state dict could hold one of them only."""
    net = roughen(WFNet(Tied(), 10, ("b", "c")), torch.float32)
    with pytest.raises(WfvizError, match="b.weight and c.weight are one tensor"):
        bake_to(net, (3,), tmp_path / "plain.safetensors", made)
    assert not (tmp_path / "plain.safetensors").exists()
    same = WFNet(Tied(), 10, ("a",))
    bake_to(same, (3,), tmp_path / "plain.safetensors", made)
    plain = Tied()
    plain.load_state_dict(load_file(tmp_path / "plain.safetensors"))
    torch.testing.assert_close(plain(X), same(X, forget=3))
