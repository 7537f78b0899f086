"""What a user may get wrong is told in one sentence; a method of one's own works like any other."""

from dataclasses import replace

import pytest
import torch

from tests.test_plugins import PLUGIN
from wfviz import methods, plugins
from wfviz.data import Pictures, retain_set
from wfviz.errors import WfvizError
from wfviz.methods import registry
from wfviz.metrics.relearning import harmless_rate

@pytest.fixture
def own(monkeypatch):
    """What is registered here is gone after the test."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


def told(call, *arguments, **settings) -> str:
    with pytest.raises(WfvizError) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_references_come_first():
    assert methods.names()[:3] == ("original", "retrain", "logit_mask")
    assert [n for n in methods.names() if methods.get(n).reference] == ["original", "retrain", "logit_mask"]
    assert all(methods.get(n).name == n and methods.get(n).title and methods.get(n).source for n in methods.names())


def test_an_unknown_method_names_the_nearest():
    assert told(methods.get, "random_lables") == "unknown method 'random_lables'; did you mean random_labels?"
    assert "known: original, retrain" in told(methods.get, "xyzzy")


def test_an_unknown_setting_names_the_nearest():
    assert "did you mean steps" in told(methods.get("salun").spec, step=3)
    assert told(methods.get("original").spec, steps=3) == "original has no settings"
    assert "like 'all'" in told(methods.get("kga_seed").spec, pairs=3)
    assert methods.get("salun").spec(lr=1).lr == 1  # a whole number is a rate as well


def test_a_variant_is_a_method_with_a_setting_changed():
    kga, variant = methods.get("kga"), methods.get("kga.freeze=12")
    assert (variant.name, variant.title) == ("kga.freeze=12", kga.title + ", freeze 12") and variant.unlearn is kga.unlearn
    assert variant.settings == {**kga.settings, "freeze": "12"} and kga.settings["freeze"] == "0"
    assert variant.spec(lr=0.5).settings == {**variant.settings, "lr": 0.5} and variant.spec().digest() != kga.spec(freeze="12").digest()
    assert methods.get("salun.lr=1e-4").settings["lr"] == 1e-4 and "kga.freeze=12" not in methods.names()
    assert "did you mean kga" in told(methods.get, "kgaa.freeze=12") and "did you mean freeze" in told(methods.get, "kga.freze=12")
    assert "METHOD.SETTING=VALUE" in told(methods.get, "kga.freeze") and "METHOD.SETTING=VALUE" in told(methods.get, "kga.")


def test_an_open_rate_is_found(own, original, few):
    """By `compare` once for all rows; a rate that was set stays."""
    took = []
    methods.method("mine", "Mine", source="a test", lr=0.0)(lambda model, forget, data, spec, progress: took.append(spec.lr) or model)
    mine = methods.get("mine")
    mine.run(original, (3,), few, mine.spec())
    mine.run(original, (3,), few, mine.spec(lr=0.5))
    assert took == [harmless_rate(original, few), 0.5]

    def settled(name, **changes):
        method = methods.get(name)
        return method.settled(method.spec(**changes), lambda: 7.0).settings.get("lr")

    assert settled("salun") == settled("kga.freeze=12") == settled("rum") == 7
    assert (settled("salun", lr=1e-4), settled("negative_gradient"), settled("svd"), settled("negative_gradient", lr=0)) == (1e-4, 5e-3, None, 0)
    assert settled("rum", inner="negative_gradient") == 0 == settled("rum", inner="nobody") and settled("rum", lr=0.1) == 0.1


def test_an_error_of_the_search_for_a_rate_is_told():
    """It does not end in a rate of 0."""
    def broken():
        raise WfvizError("a picture is damaged")

    salun = methods.get("salun")
    assert told(salun.settled, salun.spec(), broken) == "a picture is damaged"


@pytest.mark.parametrize("what", ["labels", "pixels"])
def test_a_method_that_changes_the_pictures_is_stopped(own, original, few, what):
    def spoil(model, forget, data, spec, progress):
        getattr(data.train, what)[:3] += 1
        return model

    methods.method("spoils", "Spoils", source="a test")(spoil)
    mine = methods.get("spoils")
    copy = replace(few, train=Pictures(few.train.pixels.clone(), few.train.labels.clone()))
    with pytest.raises(registry.DataChanged, match="spoils changed the pictures or labels"):
        mine.run(original, (3,), copy, mine.spec())


def test_a_method_that_returns_nothing_is_told(own, original, few):
    methods.method("silent", "Silent", source="a test", lr=0)(lambda *_: None)
    mine = methods.get("silent")
    assert "silent returned NoneType" in told(mine.run, original, (3,), few, mine.spec()) and mine.spec(lr=1e-4).lr == 1e-4


def test_a_name_with_a_point_is_a_name(own):
    methods.method("mine.v2", "Mine", source="a test", steps=3)(lambda model, *_: model)
    assert methods.get("mine.v2").settings == {"steps": 3}


def test_a_setting_as_it_is_written():
    assert methods.setting("retrain.epochs=4") == ("retrain", {"epochs": 4}) and methods.setting("kga.freeze=12") == ("kga", {"freeze": "12"})
    assert methods.setting("svd.alphas_r=[10, 30]") == ("svd", {"alphas_r": [10, 30]}) and methods.setting("mine.way=soft=1") == ("mine", {"way": "soft=1"})


def test_settings_change_the_digest():
    salun = methods.get("salun")
    assert salun.spec().digest() == salun.spec().digest()
    assert len({salun.spec().digest(), salun.spec(1).digest(), salun.spec(steps=3).digest(), methods.get("rum").spec().digest()}) == 4


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        ((), "no class to forget"),
        ((10,), "class 10 is out of range; digits has classes 0 to 9"),
        ((-1,), "class -1 is out of range"),
        (tuple(range(10)), "all classes would be forgotten"),
    ],
)
def test_a_forget_set_that_cannot_be(forget, said, original, few):
    method = methods.get("original")
    assert said in told(method.run, original, forget, few, method.spec())


def test_a_class_without_pictures(original, few):
    method, without = methods.get("original"), replace(few, train=retain_set(few.train, (4,)))
    assert told(method.run, original, (4,), without, method.spec()) == "class 4 has no training pictures in digits"
    method.run(original, (5,), without, method.spec())


def test_an_empty_retain_set(original, few):
    alone = replace(few, train=registry.forget_set(few.train, (4, 5)))
    method = methods.get("original")
    assert told(method.run, original, (4, 5), alone, method.spec()) == "without 4, 5 no training pictures are left to retain"


@pytest.mark.parametrize("name", ["retrain", "wfnet", "kga"])
def test_methods_that_train_ask_for_the_backbone(name, original, few):
    method = methods.get(name)
    assert "needs to know the backbone" in told(method.run, original, (3,), few, method.spec())


# --- a method of one's own ----------------------------------------------------------------------


def test_a_plugin_works_like_any_other(own, tmp_path, original, few):
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert plugins.load(tmp_path / "mine.py") == ("my_own",)
    assert methods.names()[-1] == "my_own"
    method, bias = methods.get("my_own"), original.fc3.bias.clone()
    out = method.run(original, (2, 7), few, method.spec(strength=50))
    changed = torch.zeros(10).index_fill(0, torch.tensor([2, 7]), 50.0)
    torch.testing.assert_close(out.fc3.bias, bias - changed)
    assert torch.equal(original.fc3.bias, bias)
