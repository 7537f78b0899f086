"""WFNet: a frozen classifier that forgets the class it is told to."""

from __future__ import annotations

import copy
from pathlib import Path
from threading import get_ident

import torch
from torch import Tensor, nn

from wfviz.errors import WfvizError, nearest
from wfviz.filtering import gates
from wfviz.filtering.choice import choose_layers, norms_behind
from wfviz.filtering.gates import Selection
from wfviz.filtering.layers import RowsMismatch, WFBatchNorm2d, WFConv2d, WFLayer, WFLinear
from wfviz.pictures import picture_to_tensor
from wfviz.specs import InputSpec


class WFNet(nn.Module):
    """A weight-filtering network around any classifier (Poppi et al. 2024).

    backbone: takes [B, channels, H, W], gives logits [B, n_classes]; it is copied, frozen and kept in eval
        mode, so that BatchNorm statistics stay as they are while α trains.
    layers: names or shell-style patterns of the layers to gate; None chooses as the paper does
        (attention projections, else convolutions). The classification head is never gated.
    classes: names, one a class. inputs: the picture the backbone takes; `transform` needs it.

    Raises WfvizError where no layer fits or a name is unknown.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_classes: int,
        layers: tuple[str, ...] | list[str] | str | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        inputs: InputSpec | None = None,
        alpha_start: float = 3.0,
    ):
        super().__init__()
        self.classes = tuple(classes) if classes is not None else tuple(str(c) for c in range(n_classes))
        if len(self.classes) != n_classes:
            raise WfvizError(f"{len(self.classes)} class names were given for {n_classes} classes")
        self.inputs = inputs
        backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
        patterns = (layers,) if isinstance(layers, str) else layers
        self.layers = choose_layers(backbone, n_classes, None if patterns is None else tuple(patterns))
        behind = norms_behind(backbone, self.layers)
        wrapped = {name: _wrap(name, backbone.get_submodule(name), n_classes, alpha_start) for name in self.layers}
        normed = {norm: WFBatchNorm2d(backbone.get_submodule(norm), wrapped[conv]) for norm, conv in behind.items()}
        self.backbone = _replaced(backbone, wrapped | normed)
        self._folding: bool | None = None  # see `_folds`

    # --- forgetting -----------------------------------------------------------------------------

    def forward(self, x: Tensor, forget: object = None, *, given: dict | None = None) -> Tensor:
        """Logits [B, C] of x [B, channels, H, W].

        forget: None (the backbone, bit for bit), a class index, several (their gates multiply), or a
            LongTensor[B] with one class for every sample (-1: none).
        given: instead of a row of α, gates of one's own: {layer name: [F] or one row a sample [B, F]} for
            weight and bias alike, or {layer name: {"weight": ..., "bias": ...}}; what is left out stays open.
        """
        self._check(x)
        if given is not None:
            selection = self._given(given, len(x))
        else:
            selection = gates.parse(forget, len(self.classes), len(x), x.device)
        if selection is not None and selection.classes is not None:
            learning = torch.is_grad_enabled() and any(a.requires_grad for a in self.alpha_parameters())
            selection = Selection(selection.classes, fold=len(x) >= gates.FOLD_FROM and not learning)
        if selection is not None and selection.classes is None and len(x) > 1 and self._folds(x):
            return self._row_by_row(x, selection)
        try:
            with gates.selecting(selection if len(x) else None):
                return self.backbone(x)
        except RowsMismatch:
            return self._row_by_row(x, selection)

    def _folds(self, x: Tensor) -> bool:
        """Whether a gated layer sees something else than a row a sample (tokens first, windows): found once, with one picture.

        The layers' own check would not see it where a batch has as many samples as a picture has tokens.
        """
        if self._folding is None:
            seen, own = [], get_ident()  # other threads may be in the same network
            hooks = [layer.register_forward_hook(lambda _layer, _args, y: seen.append(len(y) if get_ident() == own else 1)) for layer in self.gated().values()]
            try:
                with torch.no_grad(), gates.selecting(None):
                    self.backbone(x[:1])
            finally:
                for hook in hooks:
                    hook.remove()
            self._folding = any(n != 1 for n in seen)
        return self._folding

    def _row_by_row(self, x: Tensor, selection: Selection) -> Tensor:
        """For networks that fold space into the batch (windowed attention): one pass for every row of gates in use."""
        rows, given = selection.rows, selection.given
        keys = rows[:, None] if rows is not None else torch.cat([row.expand(len(x), -1) for both in given.values() for row in both], 1)
        which = keys.unique(dim=0, return_inverse=True)[1]
        parts, order = [], []
        for where in ((which == k).nonzero()[:, 0] for k in which.unique()):
            first = int(where[0])
            if rows is None:
                one = Selection(given={name: tuple(row[first : first + 1] if len(row) > 1 else row for row in both) for name, both in given.items()})
            else:
                one = None if rows[first] < 0 else Selection((int(rows[first]),))
            with gates.selecting(one):
                parts.append(self.backbone(x[where]))
            order.append(where)
        return torch.cat(parts)[torch.cat(order).argsort()]

    def _given(self, given: dict, batch: int) -> Selection:
        """Gates of one's own as a selection, their names and shapes checked."""
        rows = {}
        for name, gate in given.items():
            if name not in self.layers:
                raise WfvizError(nearest(name, self.layers, "gated layer"))
            alpha = self.backbone.get_submodule(name).alpha_weight
            both = gate if isinstance(gate, dict) else {"weight": gate, "bias": gate}
            rows[name] = tuple(self._given_row(name, both.get(kind), alpha, batch) for kind in ("weight", "bias"))
        return Selection(given=rows)

    @staticmethod
    def _given_row(name: str, gate: object, alpha: Tensor, batch: int) -> Tensor:
        width = alpha.shape[1]
        row = alpha.new_ones(width) if gate is None else torch.as_tensor(gate).to(alpha)
        row = row[None] if row.ndim == 1 else row
        if row.ndim != 2 or row.shape[1] != width or len(row) not in (1, batch):
            raise WfvizError(f"gates of {name} have shape {list(row.shape)}; [{width}] or [{batch}, {width}] fit")
        return row

    def _check(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or x.ndim != 4:
            shape = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise WfvizError(f"the network takes a batch [B, channels, height, width], not {shape}")
        if not x.is_floating_point():
            raise WfvizError(f"the network takes floating point pictures, not {x.dtype}; net.transform makes them")
        if self.inputs is not None:
            wanted = [self.inputs.channels, self.inputs.size, self.inputs.size]
            if list(x.shape[1:]) != wanted:
                raise WfvizError(f"the network takes pictures of shape {wanted}, not {list(x.shape[1:])}")

    def bake(self, forget: object) -> nn.Module:
        """The plain backbone with the gates of a class (or several) multiplied into its weights."""
        selection = gates.parse(forget, len(self.classes), 0, self.device)
        if selection is None or selection.rows is not None:
            raise WfvizError("bake takes one class, or several as a tuple")
        plain = {n: m.baked(selection) if isinstance(m, WFLayer) else m.inner for n, m in self._wrappers().items()}
        return _replaced(copy.deepcopy(self.backbone), copy.deepcopy(plain))

    # --- what it is made of ---------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def gated(self) -> dict[str, WFLayer]:
        """{layer name: WF layer}, in the order of definition."""
        return {name: self.backbone.get_submodule(name) for name in self.layers}

    def outlets(self) -> dict[str, nn.Module]:
        """{layer name: the module whose output carries its gate}: the layer, or the BatchNorm that took it over."""
        behind = {id(m.source[0]): m for m in self.modules() if isinstance(m, WFBatchNorm2d)}
        return {name: behind.get(id(layer), layer) for name, layer in self.gated().items()}

    def gates(self) -> dict[str, dict[str, Tensor]]:
        """{layer name: {"weight": [C, F], "bias": [C, F] or absent}}, values in [0, 1], detached."""
        return {
            name: {kind: torch.sigmoid(alpha.detach()) for kind, alpha in layer.alphas().items()}
            for name, layer in self.gated().items()
        }

    def alphas(self) -> dict[str, nn.Parameter]:
        """{"conv1.weight": α [C, F], "conv1.bias": ...}, as they are stored."""
        return {f"{name}.{kind}": a for name, layer in self.gated().items() for kind, a in layer.alphas().items()}

    def alpha_parameters(self) -> list[nn.Parameter]:
        return list(self.alphas().values())

    def backbone_state(self) -> dict[str, Tensor]:
        """The backbone's own state, under the names it had before it was wrapped."""
        every = self.backbone.named_modules(remove_duplicate=False)
        state, wrappers = {}, {name for name, module in every if isinstance(module, WFLayer | WFBatchNorm2d)}
        for key, value in self.backbone.state_dict().items():
            owner, _, leaf = key.rpartition(".")
            outer = owner.removesuffix(".inner")
            if owner not in wrappers:  # what a wrapper itself owns is α
                state[f"{outer if outer in wrappers else owner}.{leaf}".removeprefix(".")] = value
        return state

    def class_index(self, name: str | int) -> int:
        """Index of a class given by name or number; WfvizError names the nearest."""
        return gates.class_index(name, self.classes)

    def transform(self, picture: object) -> Tensor:
        """A PIL image or uint8 array [H, W] or [H, W, 3] as the network wants it: [channels, size, size]."""
        if self.inputs is None:
            raise WfvizError("this network does not know its input; give WFNet(..., inputs=InputSpec(...))")
        return picture_to_tensor(picture, self.inputs).to(self.device, next(self.backbone.parameters()).dtype)

    def train(self, mode: bool = True) -> WFNet:
        """Only α ever trains: the backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def save(self, folder: str | Path, card: dict) -> None:
        """Write a checkpoint folder that `wfviz.load` reads; see `wfviz.checkpoints.save`."""
        from wfviz.checkpoints import save

        save(self, folder, card)

    def _wrappers(self) -> dict[str, nn.Module]:
        return {n: m for n, m in self.backbone.named_modules() if isinstance(m, WFLayer | WFBatchNorm2d)}


def _wrap(name: str, module: nn.Module, n_classes: int, start: float) -> WFLayer:
    kind = WFConv2d if isinstance(module, nn.Conv2d) else WFLinear
    return kind(name, module, n_classes, start)


def _replaced(root: nn.Module, new: dict[str, nn.Module]) -> nn.Module:
    """`root` with the modules named in `new` exchanged, wherever the same module is used."""
    by_identity = {id(root.get_submodule(name)): module for name, module in new.items()}
    if id(root) in by_identity:
        return by_identity[id(root)]
    for parent in list(root.modules()):
        for name, child in list(parent._modules.items()):  # named_children would skip a second name of the same child
            if id(child) in by_identity:
                setattr(parent, name, by_identity[id(child)])
    return root
