"""The command line: pretrain, untrain, evaluate, compare, bake, report, info. Bad input is one sentence and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from wfviz import __version__
from wfviz.errors import WfvizError

EPILOG = """\
from nothing to a network that forgets on request:
  python -m wfviz pretrain --dataset digits --backbone cnn --out runs/digits
  python -m wfviz untrain  --dataset digits --backbone cnn --from runs/digits --out runs/digits-wfnet
  python -m wfviz evaluate runs/digits-wfnet
  streamlit run app.py
several GPUs or machines: accelerate launch -m wfviz untrain ...
"""
LIST = "--list-methods"


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 for bad input, 130 when interrupted)."""
    alone = argv is None  # this process is for this command
    argv = sys.argv[1:] if alone else list(argv)
    args = parser().parse_args(sorted(argv, key=lambda word: word == LIST))  # which ends the parsing, and is to know every --plugin
    args.argv = argv
    if alone and getattr(args, "data_root", None):
        os.environ["WFVIZ_DATA"] = args.data_root  # for every other data set as well: `--set wfnet.learn_from=cifar10`
    try:
        from wfviz import commands
        from wfviz.memory import keep_freed_memory

        keep_freed_memory()
        _own(args)
        return getattr(commands, args.command)(args) or 0
    except WfvizError as error:
        print(f"wfviz: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"wfviz: error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wfviz: interrupted", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="wfviz", description="Train, check and export WF-Nets: classifiers that forget any class on request.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"wfviz {__version__}")
    strict = partial(argparse.ArgumentParser, allow_abbrev=False)  # a card keeps its command, to be given again
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=strict)

    sub = commands.add_parser("pretrain", help="train an ordinary classifier", description="Train an ordinary classifier.")
    _what(sub)
    _how(sub)
    sub.add_argument("--from", dest="source", metavar="DIR",
                     help="go on from the network of a checkpoint; one for other pictures or classes gives all but its classifier, "
                     "and a wider --backbone begins with the answers of the narrower one; default: from random weights")
    sub.add_argument("--epochs", type=_positive(int), help="default: the backbone's recipe")
    sub.add_argument("--optimizer", help="sgd, adamw, or muon (fewer epochs); default: the backbone's recipe")
    sub.add_argument("--lr", type=_positive(float), help="peak learning rate; default: the recipe's, or that of the optimizer")
    sub.add_argument("--rest-lr", type=_positive(float), metavar="LR",
                     help="peak learning rate of what muon leaves to SGD in a CNN (norms, biases, the last layer), such as 0.6: better; default: --lr")
    sub.add_argument("--weight-decay", type=_from_zero(float), help="default: the recipe's, or that of the optimizer")
    sub.add_argument("--batch-size", type=_positive(int), default=128)
    sub.add_argument("--sizes", type=_sizes, default=(), metavar="PX,PX,...",
                     help="side of the pictures in equal parts of the epochs, such as 16,24,32: small ones are faster")
    sub.add_argument("--cutout", type=_from_zero(int), default=0, metavar="PX",
                     help="hide a square of this side in every picture, elsewhere every time, such as 12 of 32: learns more slowly and further; default: 0")
    sub.add_argument("--skip-easy", type=_part(), default=0.0, metavar="PART",
                     help="leave out this part of the pictures that are known well already, such as 0.5: faster; default: 0")
    sub.add_argument("--patch-drop", type=_part(), default=0.0, metavar="PART",
                     help="hide this part of the patches from a ViT, other ones every time, such as 0.5: twice as fast; default: 0")

    sub = commands.add_parser("untrain", help="learn α: one row of gates for every class, in one round",
                              description="Learn α around a frozen classifier, for all classes in one round.")
    _what(sub)
    _how(sub)
    start = sub.add_mutually_exclusive_group()
    start.add_argument("--from", dest="source", metavar="DIR", help="checkpoint of the classifier; without it, one is trained first")
    start.add_argument("--pretrained", action="store_true", help="start from timm's or torchvision's own weights")
    sub.add_argument("--preset", default="default", help="default, deep (works on the features as well) or paper (Poppi et al. 2024)")
    sub.add_argument("--learn-from", metavar="WHAT", help="train (default), or without the training set: val (one half of the validation split), "
                     "synthetic (made from the network), photos (crops of two photographs), or another data set or folder")
    sub.add_argument("--layers", help="gated layers, comma-separated names or patterns such as 'layer4.*'; 'blocks.*' for all of a ViT, "
                     "which forgets better than qkv alone; default: the paper's, convolutions or qkv")
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--steps", type=_positive(int), help="optimiser steps at most")
    length.add_argument("--epochs", type=_positive(float), help="the same in epochs")
    sub.add_argument("--batch-size", type=_positive(int))
    sub.add_argument("--optimizer", help="adam, adamw, sgd or momentum")
    sub.add_argument("--schedule", help="cosine or constant")
    for flag, text in (
        ("--lr", "learning rate of α"), ("--lambda-retain", "λ0, weight of the retained classes"),
        ("--lambda-forget", "λ1, weight of forgetting"), ("--lambda-gates", "λ2, weight of open gates"), ("--lambda-middle", "λ3, weight against gates halfway"),
        ("--epsilon", "ε in 1 / (CE + ε)"), ("--alpha-start", "start of α; sigmoid(3) = 0.95"),
    ):
        sub.add_argument(flag, type=float, help=text)
    sub.add_argument("--forget-loss", help="reciprocal (1 / CE), unlikelihood (−log(1 − p)) or teacher (the original with the class's logit masked)")
    sub.add_argument("--retain-loss", help="labels or teacher")
    sub.add_argument("--expansion", type=_positive(int), help="χ, rows drawn for every retained picture")
    sub.add_argument("--patience", type=_from_zero(int), help="validations without progress before it stops; 0: never")
    sub.add_argument("--half", action="store_true", help="store the backbone and α as float16")
    sub.add_argument("--no-backbone", action="store_true", help="store everything but the backbone, which stays in the folder of --from")
    sub.add_argument("--no-evaluate", action="store_true", help="leave the evaluation to `evaluate`")
    sub.add_argument("--limit", type=_positive(int), default=10_000, help="random training pictures evaluated at most (10000)")
    _curve_pictures(sub)

    sub = commands.add_parser("evaluate", help="confusion matrices, Acc_r and Acc_f with every class forgotten")
    sub.add_argument("folder", metavar="DIR")
    sub.add_argument("--split", choices=("test", "train"), default="test")
    sub.add_argument("--limit", type=_positive(int), help="random pictures at most; default: all")
    sub.add_argument("--batch-size", type=_positive(int), default=512)
    sub.add_argument("--json", metavar="FILE", help="write the numbers there as well")
    _curve_pictures(sub)
    _where(sub)
    _plugin(sub)

    sub = commands.add_parser("compare", help="every other way to forget beside WF-Net, measured alike",
                              description="Let several methods forget every class in turn and measure the same things on all of them.")
    _what(sub)
    _where(sub)
    sub.add_argument("--from", dest="source", metavar="DIR", help="checkpoint of the original; without it, one is trained first")
    sub.add_argument("--methods", default="all", help="names, comma-separated, or all; --list-methods tells them, and kga.freeze=12 is kga with a setting changed")
    sub.add_argument(LIST, action=_ListMethods, help="print the methods with their settings, those of a --plugin as well, and end")
    sub.add_argument("--classes", default="all", help="classes by name or number, comma-separated, or all")
    sub.add_argument("--seeds", default="0", help="comma-separated (0)")
    sub.add_argument("--relearn", type=_from_zero(int), default=100, metavar="N", help="limit of the relearn time in epochs; 0: leave it out (100)")
    sub.add_argument("--set", action="append", default=[], metavar="METHOD.SETTING=VALUE", help="change a setting of a method; may be repeated")
    sub.add_argument("--seed", type=_from_zero(int), default=0, help="of the validation split, and of the original if it is trained (0)")
    sub.add_argument("--precision", default="auto", help="auto, no, bf16 or fp16, for an original that is trained")
    again = sub.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on in DIR; rows that are finished are kept")
    again.add_argument("--overwrite", action="store_true", help="make the rows in DIR anew; an original that was trained there stays, with its seed")

    sub = commands.add_parser("bake", help="export a plain network that has forgotten")
    sub.add_argument("folder", metavar="DIR")
    sub.add_argument("--forget", required=True, help="class name or number; several with commas")
    sub.add_argument("--out", required=True, metavar="FILE", help=".safetensors or .onnx")
    _plugin(sub)

    sub = commands.add_parser("report", help="an audit report as one HTML file, readable offline")
    sub.add_argument("folder", metavar="DIR")
    sub.add_argument("--forget", help="begin with this class, by name or number; several with commas")
    sub.add_argument("--out", default="report.html", metavar="FILE", help="default: report.html")

    sub = commands.add_parser("reproduce", help="the tables of the paper, cell by cell; goes on where it stopped",
                              description="Run the commands behind Table 1 and Table 2 of Poppi et al. 2024, or those of KGA or ImageNet, that are not done yet.")
    sub.add_argument("table", choices=("table1", "table2", "all", "kga", "imagenet"))
    sub.add_argument("--imagenet", metavar="DIR", help="for imagenet: the folder with its train/ and val/")
    sub.add_argument("--cells", default="*", metavar="PATTERN", help="such as mnist-* or *-resnet18; default: all")
    sub.add_argument("--seeds", default="0", help="comma-separated (0)")
    sub.add_argument("--out", default="runs", metavar="DIR", help="folder of the results (runs)")
    sub.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    _where(sub)

    sub = commands.add_parser("results", help="write the tables of RESULTS.md from stored cards and comparisons")
    sub.add_argument("folders", nargs="*", metavar="DIR", help="where they lie (checkpoints and comparisons)")
    sub.add_argument("--out", default="RESULTS.md", metavar="FILE", help="default: RESULTS.md")

    sub = commands.add_parser("info", help="what a checkpoint is and how it was made")
    sub.add_argument("folder", metavar="DIR")
    return top


def _own(args: argparse.Namespace) -> None:
    """Load what the environment and `--plugin` name."""
    from wfviz import plugins

    plugins.from_environment()
    for path in getattr(args, "plugin", ()):
        plugins.load(path)


class _ListMethods(argparse.Action):
    """`--list-methods`: like --help, but for the methods."""

    def __init__(self, option_strings, dest, **kwargs):
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None):
        from wfviz import methods

        try:
            _own(namespace)
        except WfvizError as error:
            parser.error(str(error))
        for name in methods.names():
            one = methods.get(name)
            print(f"{name:20} {one.title} ({one.source})")
            if one.settings:
                print(f"{'':20} " + " ".join(f"{k}={v}" for k, v in one.settings.items()))
        parser.exit()


def _what(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dataset", required=True, help="digits, mnist, cifar10, cifar100, or a folder with train/ and val/ (or test/)")
    sub.add_argument("--backbone", required=True, help="cnn, vgg11, vgg16, resnet18, resnet50, vit_micro, vit_tiny, vit_small, or any timm name")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    sub.add_argument("--train-pictures", type=_positive(int), metavar="N", help="learn from N random training pictures only, for a quick try")
    sub.add_argument("--image-size", type=_positive(int), help="pixels, for picture folders (224)")
    _plugin(sub)


def _how(sub: argparse.ArgumentParser) -> None:
    _where(sub)
    sub.add_argument("--precision", default="auto", help="auto (bf16 on a GPU that has it, else no), no, bf16 or fp16; "
                     "bf16 is faster on CPUs that compute in it (AVX512_BF16, AMX)")
    sub.add_argument("--seed", type=_from_zero(int), default=0)
    again = sub.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from where DIR was interrupted")
    again.add_argument("--overwrite", action="store_true", help="replace the checkpoint in DIR")


def _where(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data-root", metavar="DIR", help="where torchvision's data sets are (default: $WFVIZ_DATA or data)")
    sub.add_argument("--device", help="cpu, cuda, ...; default: the best there is")


def _plugin(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a Python file that registers networks, methods or data sets of your own; "
                     "$WFVIZ_PLUGINS for every command and the dashboard")


def _curve_pictures(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--curves", type=_from_zero(int), default=50, metavar="N", help="test pictures a class for insertion and deletion; 0: none (50)")


def _positive(kind):
    return _number(kind, f"positive {kind.__name__}", lambda value: value > 0)


def _from_zero(kind):
    return _number(kind, f"{kind.__name__} from 0 up", lambda value: value >= 0)


def _part():
    return _number(float, "part from 0 up, below 1", lambda value: 0 <= value < 1)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_positive(int)(part) for part in text.split(","))


_sizes.__name__ = "list of sizes such as 16,24,32"


def _number(kind, name: str, fits):
    def parse(text: str):
        value = kind(text)
        if not fits(value) or value > 2**32 - 1:  # nan fits nothing; the limit is that of numpy's seeds
            raise ValueError
        return value

    parse.__name__ = name
    return parse


if __name__ == "__main__":
    sys.exit(main())
