"""Weight filtering (Poppi et al. 2024): one round learns α for all classes; forgetting one is applying its row.

`learn_from` names the pictures of that round (`wfviz/substitutes.py`): the training set, or what stands in for it.
`checkpoint` names a folder with a WF-Net around the same original, which is taken as it is: no round, and no other setting counts.
"""

import tempfile
from contextlib import suppress
from pathlib import Path

from wfviz import checkpoints
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.methods.finetuning import device_of
from wfviz.methods.registry import MethodSpec, method
from wfviz.specs import UntrainSpec
from wfviz.substitutes import HELD_OUT, TRAIN, learning_data
from wfviz.training import make_accelerator
from wfviz.untraining import spec_for, untrain


def how(spec: MethodSpec) -> UntrainSpec:
    """The settings of the round."""
    if spec.backbone is None:
        raise WfvizError(f"{spec.method} needs to know the backbone")
    changes = {"steps": spec.steps, "epochs": None} if spec.steps else {}
    if spec.learn_from not in (TRAIN, HELD_OUT):  # labels are guesses there: what the original answers says more
        changes["retain_loss"] = "teacher"
    return spec_for(spec.backbone.name, spec.preset, seed=spec.seed, learn_from=spec.learn_from, **changes)


def once(model, data, spec, progress):
    """The WF-Net around `model`, α learned for all classes."""
    if spec.checkpoint:
        return stored(spec.checkpoint, model)
    wanted = how(spec)
    net = WFNet(model, len(data.classes), wanted.layers, classes=data.classes, inputs=data.inputs, alpha_start=wanted.alpha_start)
    net.to(device_of(model))
    data = learning_data(data, spec.learn_from, net.eval(), seed=spec.seed)
    with tempfile.TemporaryDirectory() as folder:
        about = untrain(net, data, wanted, Path(folder), make_accelerator(device_of(model).type), show=False)
    if about["state"] == "interrupted":
        raise KeyboardInterrupt
    progress(1.0)
    return net.requires_grad_(False).eval()


def stored(folder: str, model) -> WFNet:
    """The WF-Net of a checkpoint, if it stands around `model`; `seconds` is what its round took, with the making of its pictures."""
    card = checkpoints.read_card(folder)
    if card["digests"].get("backbone") != checkpoints.backbone_digest(model.state_dict()):
        raise WfvizError(f"{folder} does not stand around the original of this comparison; start both from the same network")
    if (card.get("untraining") or {}).get("state") not in ("done", "stopped early"):
        raise WfvizError(f"the round of {folder} has not come to its end; untrain with --resume first")
    net = checkpoints.load(folder, device_of(model), backbone=model)
    made = card.get("untraining") or {}
    net.seconds = made["seconds"] + made.get("pictures_seconds", 0) if "seconds" in made else None
    return net


def row_bytes(net, data):
    """Bytes of the gates of one class."""
    return sum(a.shape[1] * a.element_size() for a in net.alpha_parameters())


def depends(spec: MethodSpec) -> str:
    with suppress(WfvizError):  # a folder that cannot be read is told in the row
        return checkpoints.read_card(spec.checkpoint)["digests"]["weights"] if spec.checkpoint else how(spec).digest()
    return ""


def unlearn(net, forget, data, spec, progress):
    return net.bake(forget)


for _name, _title, _preset, _from in (
    ("wfnet", "WF-Net", "default", "train"),
    ("wfnet_deep", "WF-Net, deep", "deep", "train"),
    ("wfnet_paper", "WF-Net, settings of the paper", "paper", "train"),
    ("wfnet_held_out", "WF-Net, from held-out pictures", "default", "val"),
    ("wfnet_other", "WF-Net, from other pictures", "default", "photos"),
    ("wfnet_synthetic", "WF-Net, from synthetic pictures", "default", "synthetic"),
):
    method(_name, _title, source="Poppi et al. 2024", once=once, stored=row_bytes, depends=depends, took=lambda net: getattr(net, "seconds", None),
           preset=_preset, steps=0, learn_from=_from, checkpoint="")(unlearn)
