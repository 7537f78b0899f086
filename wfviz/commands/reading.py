"""`bake`, `report` and `info`: what can be done with a checkpoint as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from wfviz import checkpoints
from wfviz.commands.evaluating import accuracy_table
from wfviz.commands.shared import classes_of
from wfviz.export import bake_to
from wfviz.files import write_atomically


def bake(args: argparse.Namespace) -> int:
    net = checkpoints.load(args.folder, "cpu")
    forget = classes_of(args.forget, net.classes) or (net.class_index(args.forget),)  # an empty one is unknown
    bake_to(net, forget, Path(args.out), checkpoints.read_card(args.folder))
    print(f"{args.out}: {checkpoints.read_card(args.folder)['backbone']['name']} without {', '.join(net.classes[c] for c in forget)}")
    return 0


def report(args: argparse.Namespace) -> int:
    from wfviz.report import make_report

    classes = [str(c) for c in checkpoints.read_card(args.folder)["classes"]]
    forgotten = list(classes_of(args.forget, tuple(classes))) if args.forget else []
    text, path = make_report(args.folder, forgotten), Path(args.out)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(f"{path}: {len(text.encode()) / 1024:.0f} KiB, opens in any browser, offline")
    return 0


def info(args: argparse.Namespace) -> int:
    card = checkpoints.read_card(args.folder)
    backbone, data, parameters = card["backbone"], card.get("data") or {}, card.get("parameters") or {}
    print(f"{card['name']}: {backbone.get('name')} on {data.get('dataset', '?')}, {len(card['classes'])} classes ({card['kind']})")
    print(f"  parameters    {parameters.get('backbone', 0):,} in the backbone, {parameters.get('gates', 0):,} gates")
    if not card.get("backbone_included", True):
        print(f"  network       not stored here, but in {card.get('backbone_from', 'a folder of its own')}")
    print(f"  gated layers  {len(card['layers'])}: {', '.join(card['layers'][:8])}{', ...' if len(card['layers']) > 8 else ''}")
    print("  made by       " + "\n                ".join(checkpoints.commands(card) or ["?"]))
    for what in ("pretraining", "untraining"):
        if (state := (card.get(what) or {}).get("state")) in ("started", "interrupted"):
            print(f"  {what:12}  {state}; the last command with --resume goes on")
    print(f"  seed          {card.get('seed', '?')}")
    print(f"  weights       sha256 {card['digests'].get('weights')}")
    print(f"  data          sha256 {card['digests'].get('data', '?')}")
    print(f"  versions      {', '.join(f'{k} {v}' for k, v in (card.get('versions') or {}).items())}")
    if card.get("metrics"):
        accuracy_table(card, Path(args.folder))
    return 0
