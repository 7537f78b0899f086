"""Export of a plain network that carries one row of gates in its weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from wfviz.errors import WfvizError
from wfviz.files import write_atomically
from wfviz.filtering import WFNet


def bake_to(net: WFNet, forget: tuple[int, ...], path: Path, card: dict) -> None:
    """Write `net.bake(forget)` as .safetensors (a plain state dict) or .onnx; WfvizError for another ending."""
    writers = {".safetensors": _safetensors, ".onnx": _onnx}
    if path.suffix not in writers:
        raise WfvizError(f"{path} should end in .safetensors or .onnx")
    about = {
        "backbone": card["backbone"], "inputs": card.get("inputs"), "classes": list(net.classes),
        "forgotten": [net.classes[c] for c in forget], "source_weights": card["digests"]["weights"],
    }
    writers[path.suffix](net, net.bake(forget), path, about)


def _safetensors(net: WFNet, plain: torch.nn.Module, path: Path, about: dict) -> None:
    state = {key: value.contiguous().clone() for key, value in plain.state_dict().items()}
    for first, second in _shared(net):
        if not torch.equal(state[first], state[second]):
            raise WfvizError(f"{first} and {second} are one tensor in this network, with gates that differ: write .onnx, or gate only one of them")
    write_atomically(path, lambda temporary: save_file(state, temporary, {"wfviz": json.dumps(about)}))


def _shared(net: WFNet) -> list[tuple[str, str]]:
    """Pairs of names in the backbone's state under which the same weights lie."""
    first: dict[int, str] = {}
    pairs = ((first.setdefault(value.data_ptr(), key), key) for key, value in net.backbone_state().items() if value.numel())
    return [(one, other) for one, other in pairs if one != other]


def _onnx(net: WFNet, plain: torch.nn.Module, path: Path, about: dict) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  what torch's exporter is written on
    except ImportError:
        raise WfvizError("ONNX export needs two more packages: pip install onnx onnxscript") from None
    if net.inputs is None:
        raise WfvizError("this network does not know its input size, which ONNX export needs")
    example = torch.zeros(2, net.inputs.channels, net.inputs.size, net.inputs.size)
    program = torch.onnx.export(
        plain, (example,), dynamo=True, verbose=False, input_names=["pictures"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    model = program.model_proto
    onnx.helper.set_model_props(model, {"wfviz": json.dumps(about)})
    write_atomically(path, lambda temporary: onnx.save(model, temporary))
