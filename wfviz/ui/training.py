"""The parts of page 8: the form, the command line it equals, and the runs as cards."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from wfviz import runs
from wfviz.errors import WfvizError
from wfviz.figures import training as figures
from wfviz.figures.style import called, count, percent
from wfviz.ui import cached, compared, comparison_form
from wfviz.ui.state import current
from wfviz.ui.widgets import chart, choice, fragment, number
from wfviz.ui.words import plain, sentence

UNTRAIN, PRETRAIN, COMPARE = "WF-Net", "backbone", "comparison"
COMMANDS = {UNTRAIN: "untrain", PRETRAIN: "pretrain", COMPARE: "compare"}
FOLDER, OTHER, FRESH = "a folder", "another", "a new backbone"
MOST_CARDS = 20
EVERY = 2.0  # seconds between looks at the runs, while one of them lives
PLACES = {"mnist": "MNIST/raw", "cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}  # below the data root
PAGES = Path(__file__).resolve().parents[2] / "pages"

BADGES = {
    "queued": (":material/hourglass_empty:", "gray"),
    "running": (":material/play_arrow:", "blue"),
    "stopping": (":material/stop_circle:", "gray"),
    "done": (":material/check:", "green"),
    "interrupted": (":material/pause:", "gray"),
    "failed": (":material/error:", "red"),
}


@dataclass(frozen=True)
class Wish:
    """What the form asks for: a command without `--out`, and the name of the run. `missing`: why it cannot start."""

    command: tuple[str, ...]
    name: str
    missing: str = ""

    def line(self, root: Path) -> str:
        """The command line that does the same."""
        return shlex.join(["python", "-m", "wfviz", *self.command, "--out", str(root / self.name)])


def allowed() -> bool:
    """False where $WFVIZ_TRAINING switches training off."""
    return os.environ.get("WFVIZ_TRAINING", "on").strip().lower() not in ("off", "0", "no", "false")


# --- the form -----------------------------------------------------------------------------------


def form(root: Path) -> Wish:
    """The controls, and what they ask for."""
    task = choice("What to make", [UNTRAIN, PRETRAIN, COMPARE], "task")
    sources = _sources(root) if allowed() else {}
    start = choice("Start from", [FRESH, *sources], "from", help="A new backbone is trained first. Any checkpoint with its weights saves that time.") if task != PRETRAIN else FRESH
    missing, more, classes = "", [], ()
    if start == FRESH:
        from wfviz.backbones import names as backbones

        with st.container(horizontal=True):
            dataset = choice("Data set", [*_names(), FOLDER], "dataset")
            backbone = choice("Backbone", [*backbones(), OTHER], "backbone")
        dataset, size, missing = _dataset(dataset)
        backbone, none = _other(backbone)
        missing = missing or none
    else:
        dataset, backbone, size, more, classes = sources[start]
        st.caption(plain(f"Its card says: {backbone} on {dataset}."))
    if task == COMPARE:
        asked, none = comparison_form.words(classes)
        more, missing = [*more, *asked], missing or none
    else:
        more = [*more, *(_steps() if task == UNTRAIN else _epochs())]
    device = _device()
    with st.container(horizontal=True):
        seed = number("Seed", 0, 999_999, 0, "seed")
        named = st.container()
    what = [COMMANDS[task], "--dataset", dataset or "FOLDER", "--backbone", backbone or "NAME", *size, *more]
    what += [*device, *(["--seed", str(seed)] if seed else [])]
    suggested = _suggest(root, f"{Path(dataset or 'pictures').name}-{backbone or 'net'}" + {PRETRAIN: "-backbone", COMPARE: "-comparison"}.get(task, ""))
    name = named.text_input("Name of the run", key="run_name", placeholder=suggested, max_chars=80, live=True).strip() or suggested
    try:
        runs.check_name(name)
    except WfvizError as error:
        missing = missing or sentence(error)
    return Wish(tuple(what), name, missing)


def _sources(root: Path) -> dict[str, tuple[str, str, list[str], list[str], tuple[str, ...]]]:
    """Checkpoints to start from: name -> data set, backbone, the arguments that picture folders and `--from` add, classes."""
    from wfviz.checkpoints import find_checkpoints, read_card

    found = {}
    for folder in find_checkpoints(*dict.fromkeys(place.resolve() for place in (*cached.roots(), root))):
        try:
            card = read_card(folder)
            backbone, dataset = card["backbone"].get("name"), (card.get("data") or {}).get("dataset")
            state = (card.get("pretraining") or {}).get("state", "done") if card["kind"] == "backbone" else "done"
            if not dataset or backbone in (None, "custom") or not card.get("backbone_included", True) or state != "done" or runs.busy(folder):
                continue
            size = [] if dataset in _names() else ["--image-size", str(card["inputs"]["size"])]
        except (WfvizError, KeyError, TypeError):
            continue
        slug = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        found[slug] = (str(dataset), str(backbone), size, ["--from", _short(folder)], tuple(card["classes"]))
    return found


def _short(path: Path) -> str:
    """A path as it is typed here: relative where it lies below the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _names() -> tuple[str, ...]:
    from wfviz.data import names

    return names()


def _dataset(dataset: str) -> tuple[str, list[str], str]:
    """The data set or folder, the arguments it adds, and why it cannot be used as it is, or nothing."""
    from wfviz.data import data_root

    if dataset != FOLDER:
        if allowed() and dataset in PLACES and not (data_root() / PLACES[dataset]).is_dir():
            st.caption(plain(f"{dataset} is not on this machine yet; the run downloads it first."))
        return dataset, [], ""
    with st.container(horizontal=True):
        folder = st.text_input("Folder", key="folder", placeholder="pictures", help="With train/ and val/ (or test/), one folder of pictures per class in each.").strip()
        size = ["--image-size", str(number("Pixels", 8, 1024, 224, "pixels", help="Side of the pictures the network takes."))]
    if not folder:
        return "", size, "Name the folder that holds the pictures."
    if allowed() and not os.path.isdir(folder):
        return folder, size, plain(f"There is no folder {folder}.")
    train, *rest = (os.path.isdir(os.path.join(folder, part)) for part in ("train", "val", "test"))
    if allowed() and not (train and any(rest)):
        return folder, size, plain(f"{folder} needs a folder train/, and val/ or test/ beside it.")
    return folder, size, ""


def _other(backbone: str) -> tuple[str, str]:
    """The backbone, asked for by name where it is none of the list, and what is missing, or nothing."""
    if backbone == OTHER:
        backbone = st.text_input("Name of the backbone", key="other_backbone", placeholder="efficientnet_b0", help="Any model of timm or torchvision.").strip()
    return backbone, "" if backbone else "Name the backbone."


def _steps() -> list[str]:
    """Preset, and its length where that differs."""
    from wfviz.specs import PRESETS, UntrainSpec

    with st.container(horizontal=True):
        preset = choice("Preset", list(PRESETS), "preset", help="default: our own best settings. deep: works on the features as well. paper: the settings of Poppi et al. 2024.")
        spec = UntrainSpec.preset(preset)
        what, most = ("steps", 1_000_000) if spec.epochs is None else ("epochs", 10_000)
        length = int(spec.steps if spec.epochs is None else spec.epochs)
        chosen = number(what.capitalize(), 1, most, length, what)
    return (["--preset", preset] if preset != "default" else []) + ([f"--{what}", str(chosen)] if chosen != length else [])


def _epochs() -> list[str]:
    chosen = st.number_input("Epochs", 1, 10_000, None, key="backbone_epochs", placeholder="the backbone's recipe")
    return ["--epochs", str(chosen)] if chosen else []


def _device() -> list[str]:
    """`--device`, where there is a choice and it is not the best one."""
    import torch

    if not torch.accelerator.is_available():
        return []
    best = torch.accelerator.current_accelerator().type
    chosen = choice("Device", [best, "cpu"], "device")
    return ["--device", chosen] if chosen != best else []


def _suggest(root: Path, name: str) -> str:
    """A name that no run and no network has."""
    name = "".join(ch if ch.isalnum() or ch in "-_." else "-" for ch in name).strip("-.")[:60] or "run"
    tries = [name, *(f"{name}-{n}" for n in range(2, 1000))]
    known = cached.networks()[0]
    return next((t for t in tries if t not in known and not (root / t).exists()), name)


def begin(wish: Wish, root: Path) -> None:
    """Start what the form asks for. The only way from the page to a new process."""
    _act(lambda: runs.start(list(wish.command), wish.name, root))
    st.session_state["run_name"] = ""


def _act(do) -> None:
    """Do something to a run, unless that is switched off; what goes wrong is told once, under the form."""
    try:
        if not allowed():
            raise WfvizError("training is switched off on this server")
        do()
    except WfvizError as error:
        st.session_state["_training_error"] = sentence(error)


def show_error() -> None:
    """What went wrong with the last button."""
    if "_training_error" in st.session_state:
        st.error(st.session_state.pop("_training_error"), icon=":material/error:")


# --- the runs -----------------------------------------------------------------------------------


def watch(root: Path) -> None:
    """The runs as cards, looked at again and again while one of them lives."""
    living = _living(runs.find(root))
    st.session_state["_living"] = living
    fragment(_cards, run_every=EVERY if living else None)(root)


def _living(found: list[runs.Run]) -> tuple[str, ...]:
    return tuple(run.name for run in found if run.state in runs.LIVING)


def _cards(root: Path) -> None:
    found = runs.find(root)
    if _living(found) != st.session_state["_living"]:
        st.rerun()  # one began or ended: the timer, the form and the network picker follow
    st.markdown(plain(overview(found)))
    for place, run in enumerate(found[:MOST_CARDS]):
        with st.container(border=True, key=f"run_{run.name}"):
            _card(run, found, open=place == 0 or run.state == "running")
    if len(found) > MOST_CARDS:
        st.caption(plain(f"{count(len(found) - MOST_CARDS, 'older run')} in {root} not shown."))


def overview(found: list[runs.Run]) -> str:
    """How many runs there are, in a sentence."""
    if not found:
        return "No run has been started here yet."
    numbers = {state: sum(run.state == state for run in found) for state in runs.STATES}
    names = {"running": "under way", "queued": "waiting", "done": "finished", "interrupted": "interrupted", "failed": "failed"}
    said = [f"{numbers[state]} {name}" for state, name in names.items() if numbers[state]]
    return f"{count(len(found), 'run')}: {', '.join(said)}."


def _card(run: runs.Run, found: list[runs.Run], open: bool) -> None:
    entries = runs.read_log(run.folder)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(run.name)}**", width="content")
        state = "stopping" if run.stopping else run.state
        st.badge(state, icon=BADGES[state][0], color=BADGES[state][1])
        st.space("stretch")
        _buttons(run)
    st.caption(plain(f"{_settings(run)} · {_ago(run.created)}"))
    if run.state == "queued":
        before = sum(other.state == "running" or (other.state == "queued" and other.asked < run.asked) for other in found)
        st.progress(0.0, text=f"waits for {count(before, 'run')} before it" if before else "starting")
    elif run.state == "running":
        _progress(run, entries)
    if run.state == "failed":
        st.error(sentence(WfvizError(run.message or "it failed without a word")), icon=":material/error:")
    elif run.state == "interrupted":
        st.caption(sentence(WfvizError(run.message or "interrupted")) + " It goes on from its last saved step.")
    elif run.state == "done" and (said := _result(run)):
        st.markdown(plain(said))
    phases = figures.phases(entries)
    shown = phases[-1:] if open else []
    _curves(run, entries, shown)
    folded_away = [phase for phase in phases if phase not in shown]
    label = "Curves and last output" if folded_away and not shown else "More curves and last output" if folded_away else "Last output"
    folded = st.expander(label, icon=":material/terminal:", key=f"more_{run.name}", on_change="rerun")
    if folded.open:
        with folded:
            _curves(run, entries, folded_away)
            st.code("\n".join(runs.output(run.folder)) or "nothing yet", language=None, wrap_lines=True, height=220)


def _settings(run: runs.Run) -> str:
    """The command in a few words: `untrain digits cnn, steps 300, seed 1`."""
    words, said, flag = list(run.command), [], ""
    for word in words[1:]:
        if word.startswith("--"):
            flag = word[2:]
        else:
            said.append(word if flag in ("dataset", "backbone") else f"{flag} {word}")
    return ", ".join([" ".join([words[0], *said[:2]]), *said[2:]]) if words else "no command"


def _ago(created: float) -> str:
    seconds = max(0.0, time.time() - created)
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{count(int(seconds // size), unit)} ago"
    return "just now"


def _progress(run: runs.Run, entries: list[dict]) -> None:
    now = runs.progress(run.folder, entries)
    if now is None:
        st.progress(0.0, text="stopping" if run.stopping else "starting")
        return
    left = "" if now.seconds_left is None or now.share >= 1 else f", {figures.duration(now.seconds_left)} left"
    st.progress(now.share, text=plain(f"{now.part}: {int(100 * now.share)} %{left}"))


def _curves(run: runs.Run, entries: list[dict], phases: list[str]) -> None:
    for phase in phases:
        said = figures.words(entries, phase)
        st.caption(plain(said))
        chart(figures.curves(entries, phase), said, f"curve_{phase}_{run.name}")


def _result(run: runs.Run) -> str:
    """What a finished run has reached on the test split."""
    from wfviz import comparisons
    from wfviz.checkpoints import read_card

    try:
        if run.command[:1] == ("compare",):
            found = comparisons.read(run.folder)
            failed = sum(len(found.failed(method)) for method in found.methods)
            return f"{count(len(found.methods), 'method')} compared, {count(len(found.rows), 'row')}, {failed} failed."
        card = read_card(run.folder)
        if card["kind"] == "backbone":
            return f"Validation accuracy {percent(card['pretraining']['val_accuracy'])}."
        test = card["metrics"]["test"]
        kept, gone = test["acc_r"], test["acc_f"]
        return (
            f"On test pictures, over all forgotten classes: Acc_r {percent(kept['mean'])} ↑ (before: {percent(test['original_acc_r']['mean'])}), "
            f"Acc_f {percent(gone['mean'])} ↓ (worst: {called(gone['worst_class'])}, {percent(gone['worst'])})."
        )
    except (WfvizError, KeyError, TypeError, ValueError):
        return ""


def _buttons(run: runs.Run) -> None:
    key = run.name
    if run.state in runs.LIVING and not run.stopping:
        st.button(
            "Cancel", icon=":material/stop:", key=f"cancel_{key}", on_click=_act, args=(lambda: runs.stop(run.folder),),
        )  # fmt: skip
    elif run.stopping:
        st.button(
            "End now", icon=":material/stop:", key=f"end_{key}", on_click=_act, args=(lambda: runs.cancel(run.folder, 0),),
        )  # fmt: skip
    elif run.state == "done":
        _open(run)
    else:
        label = "Resume" if run.state == "interrupted" else "Try again"
        if st.button(label, icon=":material/replay:", key=f"resume_{key}", on_click=_act, args=(lambda: runs.resume(run.folder),)):
            st.rerun()


def _open(run: runs.Run) -> None:
    if run.command[:1] == ("compare",):
        if st.button("Look at it", icon=":material/visibility:", key=f"open_{run.name}", on_click=compared.begin_with, args=(run.folder,)):
            st.switch_page(PAGES / "compare.py")
        return
    if run.command[:1] == ("pretrain",):
        if st.button("Start from it", icon=":material/arrow_back:", key=f"use_{run.name}", on_click=_use, args=(run,)):
            st.rerun()
        return
    here = run.folder.resolve()
    slug = next((slug for slug, network in cached.networks()[0].items() if Path(network.folder).resolve() == here), None)
    if slug is None:
        st.caption("not among the networks shown", help="The pages show what lies in the folders of WFVIZ_CHECKPOINTS.")
    elif slug == current().network.slug:
        st.page_link(PAGES / "forget.py", label="Look at it", icon=":material/visibility:")
    elif st.button("Open", icon=":material/open_in_new:", key=f"open_{run.name}", on_click=_look_at, args=(slug,)):
        st.rerun()


def _look_at(slug: str) -> None:
    st.session_state["network"] = slug


def _use(run: runs.Run) -> None:
    st.session_state.update({"task": UNTRAIN, "from": run.name})
