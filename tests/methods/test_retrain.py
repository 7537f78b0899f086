"""Retraining: like the original, but for the class and the number of epochs that is asked for."""

from dataclasses import replace

import pytest

from wfviz import methods
from wfviz.methods import retrain
from wfviz.pretraining import spec_for
from wfviz.specs import PretrainSpec


@pytest.mark.parametrize("known", [None, PretrainSpec(epochs=3, batch_size=50, optimizer="muon", lr=0.3, weight_decay=0.0, sizes=(8,), seed=5)])
@pytest.mark.parametrize("epochs", [0, 2])
def test_trained_like_the_original(known, epochs, original, few, backbone, monkeypatch):
    seen = []

    def pretrain(data, backbone, how, *_, **__):
        seen.append((how, data))
        return original, {"state": "done"}

    monkeypatch.setattr(retrain, "pretrain", pretrain)
    method = methods.get("retrain")
    method.run(original, (3,), few, method.spec(1, backbone, known, epochs=epochs))
    (how, data), = seen
    recipe = spec_for(backbone.name, PretrainSpec(), len(data.train))
    assert how == replace(known or recipe, epochs=epochs or (known or recipe).epochs, seed=1)
    assert not (data.train.labels == 3).any() and not (data.val.labels == 3).any()


@pytest.mark.parametrize(("asked", "used"), [("same", "no"), ("bf16", "bf16")])
def test_precision_is_the_originals_or_the_one_asked_for(asked, used, original, few, backbone, monkeypatch):
    seen = []

    def pretrain(_data, _backbone, _how, _folder, accelerator, **_):
        seen.append(accelerator.mixed_precision)
        return original, {"state": "done"}

    monkeypatch.setattr(retrain, "pretrain", pretrain)
    method = methods.get("retrain")
    method.run(original, (3,), few, method.spec(1, backbone, PretrainSpec(precision="no"), precision=asked))
    assert seen == [used]
