"""Data sets, folders and augmentation."""

import hashlib
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wfviz import data as data_module
from wfviz.data import Data, FilePictures, Pictures, augment, cut_out, hold_out, load_data, mirrored, names
from wfviz.errors import WfvizError
from wfviz.specs import InputSpec


def told(call, *said: str) -> None:
    with pytest.raises(WfvizError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def each(pictures: Pictures) -> list[bytes]:
    return [p.numpy().tobytes() for p in pictures.take(torch.arange(len(pictures)))]


# --- digits -------------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data, raw = load_data("digits"), load_digits()
    assert data.classes == tuple("0123456789") and (data.inputs.channels, data.inputs.size) == (1, 8)
    assert len(data.train) + len(data.val) + len(data.test) == len(raw.target) == 1797
    wanted = sorted((np.round(image * 255 / 16).astype(np.uint8).tobytes(), int(label)) for image, label in zip(raw.images, raw.target, strict=True))
    got = [pair for part in (data.train, data.val, data.test) for pair in zip(each(part), part.labels.tolist(), strict=True)]
    assert sorted(got) == wanted
    pixels = data.train.take(torch.arange(len(data.train))).float() / 255
    assert pixels.mean().item() == pytest.approx(data.inputs.mean[0], abs=0.01) and pixels.std().item() == pytest.approx(data.inputs.std[0], abs=0.01)


def test_the_test_split_is_the_same_whatever_the_seed():
    first, again, other = load_data("digits"), load_data("digits"), load_data("digits", seed=1)
    assert first.digest() == again.digest() != other.digest()
    assert each(first.test) == each(other.test) and torch.equal(first.test.labels, other.test.labels)
    assert each(first.val) != each(other.val)
    assert sorted(each(first.train) + each(first.val)) == sorted(each(other.train) + each(other.val))


@pytest.mark.parametrize("seed", [0, 7])
def test_held_out_pictures_are_disjoint_and_of_every_class(seed):
    labels = torch.randint(0, 7, (400,))
    kept, held = hold_out(labels, seed)
    assert len(held) == 40 and sorted([*kept.tolist(), *held.tolist()]) == list(range(400))
    share = torch.bincount(labels[held], minlength=7) / torch.bincount(labels, minlength=7)
    assert ((share - 0.1).abs() < 0.04).all()


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 0, 1], list(range(30)), [0] * 11], ids=len)
def test_held_out_of_hardly_any(labels):
    kept, held = hold_out(torch.tensor(labels), 0)
    assert len(kept) and len(held) and sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))


def test_at_most_five_thousand_are_held_out():
    assert len(hold_out(torch.arange(60_000) % 10, 0)[1]) == 5000


def test_pictures_are_taken_by_index_and_sampled():
    pictures = Pictures(torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1), torch.arange(20))
    assert pictures.take(torch.tensor([3, 3, 0])).flatten().tolist() == [3, 3, 0]
    part = pictures.sample(6, seed=1)
    assert len(part) == 6 and part.pixels.flatten().tolist() == part.labels.tolist() == sorted(set(part.labels.tolist()))
    assert pictures.sample(6, seed=1).labels.tolist() == part.labels.tolist() != pictures.sample(6, seed=2).labels.tolist()
    assert pictures.sample(None) is pictures and pictures.sample(20) is pictures


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [("digit", "did you mean digits"), ("cifar_10", "did you mean cifar10"), ("imagenet", "unknown data set"), ("./nowhere", "there is no folder"), ("", "unknown data set"), ("\0", "unknown data set"), ("x" * 5000, "unknown data set")],
    ids=["near", "nearer", "far", "folder", "empty", "zero", "long"],
)
def test_unknown_data_sets_are_told_in_a_sentence(name, said):
    told(lambda: load_data(name), said)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_a_missing_data_set_without_network_leaves_nothing(name, tmp_path, monkeypatch, no_network):
    told(lambda: load_data(name, tmp_path / "a" / "root"), "not under", "--data-root")
    told(lambda: load_data(name, tmp_path / "a" / "root", download=False), "not under", f"--dataset {name}")
    monkeypatch.setenv("WFVIZ_DATA", str(tmp_path / "b"))
    told(lambda: load_data(name), str(tmp_path / "b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_a_broken_download_is_taken_away_but_what_was_there_stays(name, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("kept")

    def broken(url, root, filename=None, *_, **__):
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / (filename or "part")).write_bytes(b"half")
        raise RuntimeError("connection reset\nby peer")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", lambda url, download_root, filename=None, md5=None: broken(url, download_root, filename))
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", lambda url, root, filename=None, md5=None: broken(url, root, filename))
    told(lambda: load_data(name, tmp_path), "could not be downloaded")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("name", "size", "counts"), [("mnist", (1, 28), (55_000, 5000, 10_000)), ("cifar10", (3, 32), (45_000, 5000, 10_000)), ("cifar100", (3, 32), (45_000, 5000, 10_000))])
def test_the_large_data_sets_where_they_are(name, size, counts):
    try:
        data = load_data(name, download=False)
    except WfvizError as error:
        pytest.skip(str(error))
    assert (data.inputs.channels, data.inputs.size) == size
    assert tuple(len(part) for part in (data.train, data.val, data.test)) == counts
    assert len(data.classes) == len(set(data.classes)) == int(data.test.labels.max()) + 1
    pixels = data.train.take(torch.arange(0, 45_000, 30)).float() / 255
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.tensor(data.inputs.mean), atol=0.02, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3)), torch.tensor(data.inputs.std), atol=0.03, rtol=0)
    if name == "cifar10":
        assert data.classes[3] == "cat"


# --- folders ------------------------------------------------------------------------------------


def picture(path: Path, seed: int, size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def folder(root: Path, **parts: dict[str, int]) -> Path:
    """root/part/class/0.png ... so many."""
    seed = 0
    for part, classes in parts.items():
        (root / part).mkdir(parents=True)
        for name, number in classes.items():
            (root / part / name).mkdir()
            for i in range(number):
                picture(root / part / name / f"{i}.png", seed := seed + 1)
    return root


FULL = {"cat": 4, "dog": 5}


def test_a_folder_with_all_three_parts(tmp_path):
    data = load_data(str(folder(tmp_path / "pets", train=FULL, val={"cat": 1, "dog": 2}, test={"dog": 3})), size=6)
    assert (data.name, data.classes, data.inputs.size) == ("pets", ("cat", "dog"), 6)
    assert [p.labels.tolist() for p in (data.train, data.val, data.test)] == [[0] * 4 + [1] * 5, [0, 1, 1], [1, 1, 1]]
    assert data.test.take(torch.tensor([2, 0])).shape == (2, 3, 6, 6)


@pytest.mark.parametrize("held", ["val", "test"])
def test_a_folder_with_one_of_them_is_tested_on_it_and_validates_on_a_part_of_train(held, tmp_path):
    root = folder(tmp_path, train={"cat": 20, "dog": 20}, **{held: {"cat": 1, "dog": 2}})
    data, other = load_data(str(root), size=4), load_data(str(root), size=4, seed=1)
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 3)
    assert each(data.test) == each(other.test) and not set(each(data.train)) & set(each(data.val))


def test_pictures_of_every_size_and_kind_are_found(tmp_path):
    root = folder(tmp_path, train={"a": 1, "b": 1}, val={"a": 1, "b": 1}, test={"a": 1})
    for i, suffix in enumerate((".jpg", ".JPEG", ".bmp", ".webp", ".ppm", ".tif")):
        picture(root / "train" / "a" / "deeper" / f"{i}{suffix}", i, (5 + i, 40 - i))
    (root / "train" / "a" / "readme.txt").write_text("no picture")
    (root / "train" / "notes.txt").write_text("no class")
    (root / "train" / ".cache").mkdir()
    data = load_data(str(root), size=5)
    assert data.classes == ("a", "b") and len(data.train) == 8


def test_files_taken_from_the_disk_equal_those_in_memory(tmp_path, monkeypatch):
    root = str(folder(tmp_path, train={"a": 6, "b": 7}, val={"a": 2, "b": 1}, test={"a": 1, "b": 2}))
    memory = load_data(root, size=7)
    monkeypatch.setattr(data_module, "IN_MEMORY", 0)
    disk = load_data(root, size=7).to(torch.device("cpu"))
    assert type(memory.train) is Pictures and type(disk.train) is FilePictures
    for part in ("train", "val", "test"):
        one, other = getattr(memory, part), getattr(disk, part)
        assert torch.equal(one.labels, other.labels) and each(one) == each(other)
    order = torch.tensor([5, 0, 12, 5])
    assert torch.equal(memory.train.take(order), disk.train.take(order))
    assert torch.equal(memory.train.subset(order).take(torch.tensor([2])), disk.train.subset(order).take(torch.tensor([2])))
    assert torch.equal(memory.train.sample(5).labels, disk.train.sample(5).labels)
    assert disk.digest() == load_data(root, size=7).digest()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"val": FULL}, "no train/ folder"),
        ({"train": FULL}, "neither a val/ nor a test/"),
        ({"train": {"cat": 3}, "val": {"cat": 1}}, "at least two class folders"),
        ({"train": {}, "val": {}}, "at least two class folders"),
        ({"train": FULL, "val": {"cat": 1, "dgo": 1}}, "did you mean dog"),
        ({"train": FULL, "val": FULL, "test": {"bird": 1}}, "unknown class 'bird'"),
        ({"train": {"cat": 0, "dog": 0}, "val": FULL}, "holds no pictures"),
        ({"train": {"cat": 3, "dog": 0}, "val": FULL}, "dog"),
        ({"train": FULL, "val": {}}, "holds no pictures"),
        ({"train": FULL, "val": {"cat": 0}}, "holds no pictures"),
    ],
    ids=str,
)
def test_a_folder_of_another_layout_is_told_in_a_sentence(parts, said, tmp_path):
    told(lambda: load_data(str(folder(tmp_path, **parts)), size=4), said)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:80])


def bomb(path: Path) -> None:
    path.write_bytes(b"P5 30000 30000 255\n")  # a grey map that says so and holds nothing


@pytest.mark.parametrize("how", [damage, bomb, lambda p: p.write_bytes(b""), lambda p: p.write_text("no picture"), lambda p: (p.unlink(), p.mkdir())])
@pytest.mark.parametrize("memory", [1 << 30, 0], ids=["in memory", "on disk"])
def test_an_unreadable_picture_is_named(how, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "IN_MEMORY", memory)
    root = folder(tmp_path, train=FULL, val=FULL, test=FULL)
    how(root / "val" / "dog" / "3.png")

    def read():
        data = load_data(str(root), size=4)
        return data.val.take(torch.arange(len(data.val)))

    if (root / "val" / "dog" / "3.png").is_dir():
        assert len(read()) == 8  # a folder is no picture, whatever its name
    else:
        told(read, os.path.join("dog", "3.png"))


# --- augmentation -------------------------------------------------------------------------------


def slowly(picture: np.ndarray, down: int, right: int, mirrored: bool) -> np.ndarray:
    """Pixel by pixel what `augment` does: reflect at the edges, shift, then mirror."""
    channels, size, _ = picture.shape
    out = np.zeros_like(picture)

    def inside(i: int) -> int:
        return -i if i < 0 else 2 * (size - 1) - i if i >= size else i

    for row in range(size):
        for column in range(size):
            from_column = size - 1 - column if mirrored else column
            out[:, row, column] = picture[:, inside(row + down), inside(from_column + right)]
    return out


@pytest.mark.parametrize(("shift", "flip"), [(0, False), (2, False), (0, True), (3, True)])
def test_augmented_as_the_obvious_loop(shift, flip):
    pictures = torch.randint(0, 256, (40, 2, 9, 9), dtype=torch.uint8)
    got = augment(pictures, shift, flip, torch.Generator().manual_seed(1))
    assert got.dtype == torch.uint8 and got.shape == pictures.shape
    used = set()
    for before, after in zip(pictures.numpy(), got.numpy(), strict=True):
        possible = {
            (down, right, mirrored)
            for down in range(-shift, shift + 1) for right in range(-shift, shift + 1) for mirrored in ((False, True) if flip else (False,))
            if np.array_equal(slowly(before, down, right, mirrored), after)
        }
        assert len(possible) == 1
        used |= possible
    assert len(used) > 1 or (shift, flip) == (0, False)
    if shift:
        assert {d for d, _, _ in used} == {r for _, r, _ in used} == set(range(-shift, shift + 1))
    assert {m for _, _, m in used} == ({False, True} if flip else {False})


def test_chosen_pictures_are_mirrored():
    pictures, chosen = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8), torch.tensor([True, False, False, True, True, False])
    got = augment(pictures, 0, chosen)
    assert all(torch.equal(b, a.flip(-1) if c else a) for a, b, c in zip(pictures, got, chosen, strict=True))


def test_every_picture_is_mirrored_in_every_other_epoch():
    indices = torch.randperm(5000)
    epochs = [mirrored(indices, epoch, 3) for epoch in range(4)]
    assert all(torch.equal(one, ~other) for one, other in itertools.pairwise(epochs))
    assert 0.4 < epochs[0].float().mean() < 0.6 and not torch.equal(epochs[0], mirrored(indices, 0, 4))
    assert torch.equal(epochs[0][:10], mirrored(indices[:10], 0, 3))


def test_the_same_draw_augments_the_same():
    pictures = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    first, again, other = (augment(pictures, 2, True, torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(augment(pictures, 0, False), pictures)


def test_the_digest_sees_every_pixel_and_label():
    pixels, labels = torch.randint(0, 256, (6, 1, 2, 2), dtype=torch.uint8), torch.arange(6) % 2

    def made(pixels, labels):
        parts = [Pictures(pixels[i : i + 2], labels[i : i + 2]) for i in (0, 2, 4)]
        return Data("d", ("a", "b"), InputSpec(1, 2, (0.0,), (1.0,)), *parts).digest()

    assert made(pixels, labels) == made(pixels.clone(), labels.clone()) and len(made(pixels, labels)) == hashlib.sha256().digest_size * 2
    pixels[5, 0, 1, 1] += 1
    changed = made(pixels, labels)
    pixels[5, 0, 1, 1] -= 1
    assert changed != made(pixels, labels) != made(pixels, labels.flip(0))


def test_the_registry_names_the_data_sets():
    assert names() == ("digits", "mnist", "cifar10", "cifar100")


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cut_out_as_the_obvious_loop(side):
    """Every picture misses one square whose centre is one of its pixels; all of them occur."""
    before = torch.randn(400, 2, 6, 7)
    got = cut_out(before, side, torch.Generator().manual_seed(1))
    centres = set()
    for picture, after in zip(before, got, strict=True):
        for row in range(6):
            for column in range(7):
                expected = picture.clone()
                for down in range(row - side // 2, row - side // 2 + side):
                    for right in range(column - side // 2, column - side // 2 + side):
                        if 0 <= down < 6 and 0 <= right < 7:
                            expected[:, down, right] = 0
                if torch.equal(expected, after):
                    centres.add((row, column))
                    break
            else:
                continue
            break
        else:
            raise AssertionError("no square explains what is missing")
    assert len(centres) == 6 * 7
    assert cut_out(before, 0) is before and torch.equal(got, cut_out(before, side, torch.Generator().manual_seed(1)))
