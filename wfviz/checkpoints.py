"""Checkpoint folders, the only place where weights are read and written.

A folder holds `card.json` (what it is and how it was made), `wfnet.safetensors` (the backbone under
`backbone.`, α under `alpha.`; a backbone too large to ship may be left out) and `evaluation.npz`. Only
safetensors and plain arrays: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from wfviz import __version__
from wfviz.backbones import build
from wfviz.errors import WfvizError
from wfviz.files import sha256, write_atomically, write_json
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import PARTS, WHOLE_CONFUSION, Evaluation
from wfviz.metrics.curves import MODES, ORDERS, Curves
from wfviz.specs import BackboneSpec, InputSpec

FORMAT = 1
WEIGHTS, CARD, EVALUATION = "wfnet.safetensors", "card.json", "evaluation.npz"
ROOTS = ("checkpoints", "runs")


# --- writing ------------------------------------------------------------------------------------


def save(
    net: WFNet,
    folder: str | Path,
    card: dict,
    *,
    evaluation: Evaluation | None = None,
    kind: str = "wfnet",
    half: bool = False,
    with_backbone: bool = True,
) -> None:
    """Write a checkpoint: first the evaluation, then the weights, last the card that vouches for them.

    card: what is known of the making (backbone, data, seed, ...); format, class names, layers, input,
        versions and digests are added here. half: floating point tensors as float16, α and the backbone if it is stored.
    """
    folder = Path(folder)
    if evaluation is not None:
        save_evaluation(folder, evaluation, keep=False)
    state = _stored(net.backbone_state(), half and with_backbone)
    tensors = _stored({f"alpha.{key}": alpha.detach() for key, alpha in net.alphas().items()}, half) if kind == "wfnet" else {}
    if with_backbone:
        tensors |= {f"backbone.{key}": value for key, value in state.items()}
    tensors = {key: value.cpu().contiguous().clone() for key, value in tensors.items()}
    digests = {**card.get("digests", {}), "backbone": backbone_digest(state)}

    def write(path: Path) -> None:
        save_file(tensors, path)
        digests["weights"] = sha256(path)

    write_atomically(folder / WEIGHTS, write)  # from here to the card nothing takes long
    if evaluation is None:  # one that is there judged other weights
        (folder / EVALUATION).unlink(missing_ok=True)
    gates = sum(alpha.numel() for alpha in net.alpha_parameters()) if kind == "wfnet" else 0
    parameters = {"backbone": sum(v.numel() for v in net.backbone_state().values()), "gates": gates}
    made = {
        "format": FORMAT, "kind": kind, "backbone": card.get("backbone", {"name": "custom"}), "name": card.get("name", folder.name), "classes": list(net.classes),
        "inputs": net.inputs.to_dict() if net.inputs else None, "layers": list(net.layers),
        "backbone_included": with_backbone, "parameters": parameters, "digests": digests, "versions": versions(),
    }
    write_json(folder / CARD, {**card, **made})


def _stored(tensors: dict[str, torch.Tensor], half: bool) -> dict[str, torch.Tensor]:
    return {key: value.half() if half and value.is_floating_point() else value for key, value in tensors.items()}


def backbone_digest(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of a plain network's state, floating point as float32: what α is learned around."""
    sha = hashlib.sha256()
    for key, value in sorted(state.items()):
        value = value.detach().cpu()
        sha.update(key.encode())
        sha.update(np.ascontiguousarray((value.float() if value.is_floating_point() else value).numpy()))
    return sha.hexdigest()


def save_evaluation(
    folder: Path, evaluation: Evaluation | None = None, curves: Curves | None = None, keep: bool = True
) -> None:
    """Store what is given, beside what is stored already (`keep`); a split, or the curves, replace their older selves."""
    try:
        arrays = _read_arrays(folder) if keep else {}
    except WfvizError:
        arrays = {}
    if evaluation is not None:
        arrays |= {f"{part}.{split}": a for part in PARTS for split, a in getattr(evaluation, part).items()}
    if curves is not None:
        arrays |= {"curves.fractions": curves.fractions}
        arrays |= {f"curves.{mode}.{order}": a for mode in MODES for order, a in getattr(curves, mode).items()}
    write_atomically(folder / EVALUATION, lambda path: np.savez_compressed(path, **arrays))


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    found = {"wfviz": __version__, "python": platform.python_version()}
    for library in ("torch", "torchvision", "timm", "accelerate", "safetensors", "scikit-learn", "numpy"):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


# --- reading ------------------------------------------------------------------------------------


def find_checkpoints(*roots: str | Path) -> list[Path]:
    """Folders with a card, at any depth below the roots (`checkpoints/`, `runs/`), by name."""
    found = [path.parent for root in roots or ROOTS for path in Path(root).glob(f"**/{CARD}")]
    return sorted(found, key=lambda folder: (folder.parent.name, folder.name))


def read_card(folder: str | Path) -> dict:
    """The card, checked for what every reader relies on; WfvizError in one sentence otherwise."""
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WfvizError(f"{folder} is no checkpoint: it has no {CARD}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WfvizError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        given = card.get("format") if isinstance(card, dict) else None
        raise WfvizError(f"{path} has format {given!r}; this version of wfviz reads format {FORMAT}")
    for key in ("kind", "classes", "layers", "digests", "backbone"):
        if card.get(key) is None:
            raise WfvizError(f"{path} is damaged: {key!r} is missing")
    for key, shape in SHAPE.items():
        if card.get(key) is not None and not fits(card[key], shape):
            raise WfvizError(f"{path} is damaged: {key!r} is not what it should be")
    return card | {"name": card.get("name") or Path(folder).name, "inputs": card.get("inputs")}


SPREAD = {"mean": float, "std": float, "worst": float, "worst_class": str}
SHAPE = {  # what readers rely on: a type, [every entry], {"key": its entry, "key?": where it is there}, {str: every entry}
    "kind": str, "name": str, "classes": [str], "layers": [str], "digests": {str: str}, "versions": {str: str},
    "backbone": {"name": str}, "data": {"dataset?": str, "seed?": int, "train_pictures?": int}, "parameters": {str: int},
    "inputs": {"channels": int, "size": int, "mean": [float], "std": [float]},
    "pretraining": {"command?": str, "epochs?": float, "earlier?": {}}, "untraining": {}, "command": str, "seed": int, "backbone_included": bool,
    "backbone_from": str, "metrics": {str: {"pictures": int, "accuracy": float, "acc_r": SPREAD, "acc_f": SPREAD}},
    "curves": {"insertion?": {str: {"mean": float}}, "deletion?": {str: {"mean": float}}},
}


def fits(value: object, shape: object) -> bool:
    """Whether a value out of a card looks like `SHAPE` says."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(v, shape[0]) for v in value)
    if not isinstance(shape, dict):
        return type(value) in ((int, float) if shape is float else (shape,))
    if not isinstance(value, dict):
        return False
    if str in shape:
        return all(fits(v, shape[str]) for v in value.values())
    return all(
        fits(value.get(key.rstrip("?")), entry) or (key.endswith("?") and value.get(key.rstrip("?")) is None)
        for key, entry in shape.items()
    )


def read_tensors(folder: str | Path, card: dict, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors whose names start with `prefix`, after the file's digest was compared with the card."""
    path = Path(folder) / WEIGHTS
    try:
        if sha256(path) != card["digests"].get("weights"):
            raise WfvizError(f"{path} is not the file that {CARD} describes (cut off, or from another run); make it again")
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}
    except FileNotFoundError:
        raise WfvizError(f"{folder} has no {WEIGHTS}") from None
    except (OSError, SafetensorError) as error:
        raise WfvizError(f"{path} is damaged: {str(error).splitlines()[0]}") from None


def read_gates(folder: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """{layer: {"weight": [C, F], "bias": [C, F] or absent}} in [0, 1], without building the network."""
    card = read_card(folder)
    stored = read_tensors(folder, card, "alpha.")
    gates: dict[str, dict[str, np.ndarray]] = {layer: {} for layer in card["layers"]}
    for key, alpha in stored.items():
        layer, _, kind = key.removeprefix("alpha.").rpartition(".")
        if layer not in gates or kind not in ("weight", "bias") or alpha.ndim != 2 or len(alpha) != len(card["classes"]):
            raise WfvizError(f"{Path(folder) / WEIGHTS} is damaged: {key} fits no layer of the card")
        if not torch.isfinite(alpha).all() or any(alpha.shape[1] != gate.shape[1] for gate in gates[layer].values()):
            raise WfvizError(f"{Path(folder) / WEIGHTS} is damaged: {key} is not finite, or weight and bias differ in shape")
        gates[layer][kind] = torch.sigmoid(alpha.float()).numpy()
    empty = [layer for layer, kinds in gates.items() if "weight" not in kinds]
    if empty:
        raise WfvizError(f"{Path(folder) / WEIGHTS} has no gates for {empty[0]}" + _untrain_first(card, folder))
    return gates


def read_evaluation(folder: str | Path) -> Evaluation:
    """The stored evaluation; WfvizError says how to make one."""
    arrays, n = _read_arrays(folder), len(read_card(folder)["classes"])
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    for key, array in arrays.items():
        part, _, split = key.partition(".")
        if part in parts:
            parts[part][split] = array
    evaluation = Evaluation(**parts)
    fitting = {"counts": (n,), "correct": (n + 1, n), "confusion": (n + 1, n, n), "taken_for": (n, n)}
    for split in {split for part in parts.values() for split in part} or {"test"}:
        for part, shape in fitting.items():
            array = parts[part].get(split)
            if array is None and part == "confusion" and n > WHOLE_CONFUSION:
                continue
            if array is None or array.shape != shape or array.dtype.kind not in "iu":
                raise WfvizError(f"{Path(folder) / EVALUATION} does not fit its card" + _evaluate_again(folder))
    return evaluation


def read_curves(folder: str | Path) -> Curves:
    """The stored insertion and deletion curves; WfvizError says how to make them."""
    arrays, n = _read_arrays(folder), len(read_card(folder)["classes"])
    fractions = arrays.get("curves.fractions")
    if fractions is None:
        raise WfvizError(f"{folder} holds no insertion and deletion curves" + _evaluate_again(folder))
    modes = {mode: {o: arrays[k] for o in ORDERS if (k := f"curves.{mode}.{o}") in arrays} for mode in MODES}
    shapes = [a.shape[1:] for orders in modes.values() for a in orders.values()]
    if any("gates" not in orders for orders in modes.values()) or set(shapes) != {(n, len(fractions))}:
        raise WfvizError(f"{Path(folder) / EVALUATION} does not fit its card" + _evaluate_again(folder))
    return Curves(fractions, **modes)


def _read_arrays(folder: str | Path) -> dict[str, np.ndarray]:
    path = Path(folder) / EVALUATION
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except FileNotFoundError:
        raise WfvizError(f"{folder} holds no evaluation" + _evaluate_again(folder)) from None
    except Exception as error:  # zipfile, zlib and numpy raise whatever the damage suggests
        raise WfvizError(f"{path} is damaged ({type(error).__name__})" + _evaluate_again(folder)) from None


def _evaluate_again(folder: str | Path) -> str:
    return f"; `python -m wfviz evaluate {folder}` makes it"


def load(folder: str | Path, device: str | torch.device | None = None, backbone: torch.nn.Module | None = None) -> WFNet:
    """A WF-Net from a checkpoint folder, in eval mode, frozen, on the best device or `device`.

    backbone: needed only where the card's backbone is none that `wfviz.backbones` can build. A folder that holds
        everything but the backbone takes it from the folder that its card names, if it is still the same network.
    Raises WfvizError, in one sentence, for a folder that is missing, damaged or of another kind.
    """
    card = read_card(folder)
    if card["kind"] != "wfnet":
        raise WfvizError(f"{folder} holds a {card['kind']} without gates" + _untrain_first(card, folder))
    included = card.get("backbone_included", True)
    if not included:
        backbone = _brought(card, folder) if backbone is None else _the_same(backbone, card, folder, "the backbone given")
    net = _skeleton(card, folder, backbone)
    stored = read_tensors(folder, card)
    expected = {f"alpha.{k}": v for k, v in net.alphas().items()}
    if included:
        expected |= {f"backbone.{k}": v for k, v in net.backbone_state().items()}
    _compare(stored, expected, Path(folder) / WEIGHTS)
    with torch.no_grad():
        for key, target in expected.items():
            target.copy_(stored[key])
    return net.requires_grad_(False).eval().to(device or best_device())


def load_backbone(folder: str | Path, spec: BackboneSpec) -> torch.nn.Module:
    """The plain classifier of a checkpoint of either kind, for `untrain --from`."""
    card = read_card(folder)
    stored_spec = BackboneSpec.from_dict(card["backbone"])
    if stored_spec.name != spec.name or (stored_spec.n_classes, stored_spec.channels, stored_spec.size) != (
        spec.n_classes, spec.channels, spec.size,
    ):
        raise WfvizError(
            f"{folder} holds {stored_spec.name} for {stored_spec.n_classes} classes of {stored_spec.channels} x "
            f"{stored_spec.size} px pictures, not {spec.name} for {spec.n_classes} of {spec.channels} x {spec.size}"
        )
    if not card.get("backbone_included", True):
        return _brought(card, folder)
    net = build(spec)
    state = net.state_dict()
    stored = read_tensors(folder, card, "backbone.")
    _compare(stored, {f"backbone.{k}": v for k, v in state.items()}, Path(folder) / WEIGHTS)
    net.load_state_dict({key: stored[f"backbone.{key}"].to(value.dtype) for key, value in state.items()})
    return net


def _brought(card: dict, folder: str | Path) -> torch.nn.Module:
    """The network of a checkpoint that holds everything else, from the folder that `untrain --from` took it from."""
    spec, source = _known(card, folder), card.get("backbone_from") or ""
    there = source and (Path(source) / CARD).exists() and read_card(source).get("backbone_included", True)
    if not there:
        how = " && ".join(commands({**card, "command": None})) or "python -m wfviz pretrain"
        raise WfvizError(f"{folder} holds the gates but not the backbone; `{how}` brings it, with as many threads on a like processor")
    return _the_same(load_backbone(source, spec), card, folder, source)


def _the_same(backbone: torch.nn.Module, card: dict, folder: str | Path, source: str) -> torch.nn.Module:
    """`backbone`, if it is the one that the gates were learned around: those of another mean nothing to it."""
    if backbone_digest(backbone.state_dict()) != card["digests"].get("backbone"):
        raise WfvizError(
            f"{source} is another network than the one that the gates in {folder} were learned around; "
            f"`{card.get('command', 'python -m wfviz untrain')} --overwrite` learns them for it"
        )
    return backbone


def commands(card: dict) -> list[str]:
    """The command lines that make a checkpoint, in their order: those that trained the network, then its own."""
    made, found = card.get("pretraining") or {}, [card.get("command")]
    while made:
        found.append(made.get("command"))
        made = made.get("earlier") or {}
    return list(dict.fromkeys(command for command in reversed(found) if command))


def best_device() -> torch.device:
    """The accelerator where there is one, else the CPU."""
    if torch.accelerator.is_available():
        return torch.device(torch.accelerator.current_accelerator())
    return torch.device("cpu")


def _skeleton(card: dict, folder: str | Path, backbone: torch.nn.Module | None) -> WFNet:
    classes = tuple(str(c) for c in card["classes"])
    inputs = InputSpec.from_dict(card["inputs"]) if card.get("inputs") else None
    return WFNet(build(_known(card, folder)) if backbone is None else backbone, len(classes), tuple(card["layers"]), classes=classes, inputs=inputs)


def _known(card: dict, folder: str | Path) -> BackboneSpec:
    """The backbone of a checkpoint, for its own weights."""
    if card["backbone"].get("name") in (None, "custom"):
        raise WfvizError(f"{folder} was made around a network of your own; give it as wfviz.load(folder, backbone=...), or register it in a file (README, --plugin) and train it by name")
    return replace(BackboneSpec.from_dict(card["backbone"]), pretrained=False)


def _compare(stored: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], path: Path) -> None:
    missing, surplus = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    if missing or surplus:
        said = [f"{len(keys)} {what} (first: {keys[0]})" for keys, what in ((missing, "missing"), (surplus, "surplus")) if keys]
        raise WfvizError(f"{path} does not fit its card: tensors {' and '.join(said)}")
    for key, tensor in expected.items():
        if stored[key].shape != tensor.shape:
            raise WfvizError(f"{path} does not fit its card: {key} is {list(stored[key].shape)}, not {list(tensor.shape)}")
        if stored[key].dtype != tensor.dtype and not (stored[key].is_floating_point() and tensor.is_floating_point()):
            raise WfvizError(f"{path} does not fit its card: {key} is {stored[key].dtype}, not {tensor.dtype}")
        if stored[key].is_floating_point() and not torch.isfinite(stored[key]).all():
            raise WfvizError(f"{path} holds values in {key} that are not finite")


def _untrain_first(card: dict, folder: str | Path) -> str:
    data, name, size = card.get("data", {}).get("dataset", "D"), card["backbone"].get("name", "B"), (card.get("inputs") or {}).get("size")
    more = f" --image-size {size}" if size and Path(data).is_dir() else ""
    return f"; learn them with: python -m wfviz untrain --dataset {shlex.quote(data)} --backbone {name}{more} --from {shlex.quote(str(folder))} --out DIR"
