"""Which pictures are on show, and a visitor's own picture from an upload, a camera or a drawing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import streamlit as st
import torch
from PIL import Image

from wfviz.pictures import open_picture
from wfviz.ui import cached
from wfviz.ui.canvas import canvas

SHOWN = 12
FORMATS = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"]
# How much of the frame the longer side of a digit fills, and the pen that matches, in the pictures of that data set.
FITTED = {"mnist": 20 / 28, "digits": 1.0}


def draw(labels: np.ndarray, forgotten: Sequence[int], shuffle: int, n: int = SHOWN) -> list[int]:
    """Indices of `n` random pictures, half of them of the forgotten classes in turn. The same `shuffle` draws the same."""
    rng = np.random.default_rng((shuffle, *(c + 1 for c in forgotten or (-1,))))
    own = [rng.permutation(np.flatnonzero(labels == c))[: n // 2].tolist() for c in forgotten]
    first = [i for turn in zip_longest(*own) for i in turn if i is not None][: n // 2]
    rest = np.flatnonzero(~np.isin(labels, list(forgotten)))
    return [*first, *rng.permutation(rest)[: n - len(first)].tolist()]


def uploaded(network: cached.Network) -> torch.Tensor | None:
    """The upload field; the picture as the network takes it, uint8 [channels, size, size]. Raises WfvizError."""
    file = st.file_uploader(
        "A picture of yours", type=FORMATS, key="upload", max_upload_size=20,
        help="It is used for this page only and kept nowhere.",
    )  # fmt: skip
    return None if file is None else as_network_takes(open_picture(file.getvalue()), network)


def photographed(network: cached.Network) -> torch.Tensor | None:
    """The camera; its picture as the network takes it, uint8 [channels, size, size]. Raises WfvizError."""
    file = st.camera_input("A picture from your camera", key="camera", help="It is used for this page only and kept nowhere.")
    return None if file is None else as_network_takes(open_picture(file.getvalue()), network)


def drawn(network: cached.Network) -> torch.Tensor | None:
    """The drawing area; the drawing as the network takes it, uint8 [channels, size, size]. Raises WfvizError."""
    size, color = network.size, network.card["inputs"]["channels"] != 1
    brush = 14 if color else round(280 * max(0.085, 1 / size))
    file = canvas(f"canvas_{network.slug}", brush=brush, color=color)
    if file is None:
        return None
    picture = open_picture(file)
    return as_network_takes(picture if color else fit_ink(picture, FITTED.get(network.dataset)), network)


def fits(network: cached.Network) -> bool:
    """Whether drawings for this network are fitted into the frame."""
    return network.dataset in FITTED


def as_network_takes(picture: Image.Image, network: cached.Network) -> torch.Tensor:
    """A picture cut and resized for the network: uint8 [channels, size, size]. Raises WfvizError."""
    from wfviz.pictures import picture_to_uint8
    from wfviz.specs import InputSpec

    _ = network.size  # says so where the card does not tell what the network takes
    return picture_to_uint8(picture, InputSpec.from_dict(network.card["inputs"]))


def fit_ink(picture: Image.Image, fill: float | None) -> Image.Image:
    """White ink on black, moved to the middle and scaled so that its longer side fills `fill` of the frame."""
    box = picture.convert("L").point(lambda p: 255 if p > 40 else 0).getbbox()
    if box is None or fill is None:
        return picture
    ink = picture.convert("L").crop(box)
    side = round(max(ink.size) / fill)
    frame = Image.new("L", (side, side))
    frame.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    return frame


def png(pixels: np.ndarray, side: int = 256) -> bytes:
    """A uint8 picture [channels, H, W] as a PNG, small ones enlarged to `side` with sharp edges."""
    planes = np.asarray(pixels)
    image = Image.fromarray(planes[0] if planes.shape[0] == 1 else np.moveaxis(planes, 0, -1))
    if max(image.size) < side:
        image = image.resize((side, side), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
