"""What people read when something is wrong, and the specs that refuse what cannot be."""

import pytest

from wfviz.errors import WfvizError, nearest
from wfviz.specs import PRESETS, BackboneSpec, InputSpec, PretrainSpec, UntrainSpec
from wfviz.untraining import spec_for


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("cta", ["cat", "dog"], "unknown class 'cta'; did you mean cat?"),
        ("caat", ["cat", "cart", "dog"], "unknown class 'caat'; did you mean cat or cart?"),
        ("zebra", ["cat", "dog"], "unknown class 'zebra'; known: cat, dog"),
        (7, [1, 2], "unknown class '7'; known: 1, 2"),
        ("x", [f"class {i}" for i in range(100)], "unknown class 'x'; known: class 0, class 1, class 2, class 3, class 4, class 5, class 6, "
         "class 7, class 8, class 9, class 10, class 11, ... (100 in all)"),
    ],
    ids=str,
)
def test_the_nearest_are_named(name, known, said):
    assert nearest(name, known, "class") == said
    assert nearest(name, iter(known), "class") == said


def test_an_error_is_a_value_error():
    assert issubclass(WfvizError, ValueError)


SPECS = [InputSpec(1, 8, (0.5,), (0.25,)), BackboneSpec("cnn", 10, 1, 8), PretrainSpec(), UntrainSpec(), UntrainSpec.preset("paper", layers=("a", "b"))]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: type(s).__name__)
def test_specs_survive_json(spec):
    import json

    again = type(spec).from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and again.digest() == spec.digest() and len(spec.digest()) == 64


def test_a_digest_names_the_content():
    assert UntrainSpec().digest() == UntrainSpec.preset("default").digest()
    digests = {UntrainSpec(**{name: value}).digest() for name, value in (("lr", 0.2), ("seed", 1), ("layers", ("a",)), ("steps", 5))}
    assert len(digests | {UntrainSpec().digest()}) == 5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "cnn"}, "incomplete"), ({"nam": "cnn"}, "did you mean name"), ({"name": 3}, "name is 3"),
        ({"name": "cnn", "n_classes": "10", "channels": 1, "size": 8}, "n_classes is '10'"),
        ({"name": "cnn", "n_classes": 10, "channels": True, "size": 8}, "channels is True"),
        ({"name": "cnn", "n_classes": 10, "channels": 1, "size": 8.0}, "size is 8.0"),
        ({"name": "cnn", "n_classes": 10, "channels": 1, "size": None}, "size is None"),
    ],
    ids=str,
)
def test_a_spec_from_something_else_is_told_in_a_sentence(values, said):
    with pytest.raises(WfvizError) as caught:
        BackboneSpec.from_dict(values)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [(0, 8, (), ()), (1, 0, (0.5,), (0.5,)), (3, 8, (0.5,), (0.5,)), (1, 8, (0.5,), (0.0,)), (1, 8, (0.5, 0.5), (0.5,))], ids=str)
def test_inputs_that_cannot_be(values):
    with pytest.raises(WfvizError):
        InputSpec(*values)


def test_presets():
    paper = UntrainSpec.preset("paper")
    assert (paper.optimizer, paper.lr, paper.batch_size, paper.expansion, paper.alpha_start, paper.patience) == ("sgd", 100.0, 128, 3, 3.0, 10)
    assert (paper.lambda_retain, paper.lambda_forget, paper.lambda_gates) == (1.0, 10.0, 1.0) and paper.evaluate_every == 0
    assert (paper.forget_loss, paper.retain_loss, paper.lambda_middle) == ("reciprocal", "labels", 0.0)
    assert spec_for("vit_micro", "paper").lambda_forget == 100.0 and spec_for("vit_micro", "paper", lambda_forget=3.0).lambda_forget == 3.0
    assert spec_for("cnn", "default").layers == ("conv*", "fc1", "fc2") and spec_for("cnn", "default", layers=("fc1",)).layers == ("fc1",)
    assert spec_for("resnet18", "default").layers is None
    for name in PRESETS:
        assert UntrainSpec.preset(name).name == name
    with pytest.raises(WfvizError, match="did you mean paper"):
        UntrainSpec.preset("papre")
