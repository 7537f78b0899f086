"""The reference of exact unlearning: a network that never saw the class, trained like the original."""

import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from wfviz.errors import WfvizError
from wfviz.methods.finetuning import device_of
from wfviz.methods.registry import method, retain_set
from wfviz.pretraining import STATE, pretrain, spec_for, with_epochs
from wfviz.specs import PretrainSpec
from wfviz.training import make_accelerator


@method("retrain", "Retrained without the class", source="exact unlearning", reference=True, epochs=0, precision="same")
def unlearn(model, forget, data, spec, progress):
    """With the settings of the original's own training, or the backbone's recipe.

    epochs: 0, as many as there. precision: same (as there), auto, no, bf16 or fp16.
    """
    if spec.backbone is None:
        raise WfvizError("retrain needs to know the backbone")
    without = replace(data, train=retain_set(data.train, forget), val=retain_set(data.val, forget))
    like = spec.pretraining or PretrainSpec()
    like = with_epochs(like, spec.epochs) if spec.epochs else like
    how = spec_for(spec.backbone.name, replace(like, seed=spec.seed), len(without.train))
    accelerator = make_accelerator(str(device_of(model)), how.precision if spec.precision == "same" else spec.precision)
    with nullcontext(spec.folder) if spec.folder else tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net, about = pretrain(
            without, replace(spec.backbone, pretrained=False), how, folder, accelerator,
            resume=(folder / STATE).exists(), show=False, progress=progress,
        )
    if about["state"] == "interrupted":
        raise KeyboardInterrupt
    return net.to(device_of(model))
