"""`rwcctl assets`: the support files of RVC voices (content encoder, pitch nets), listed, fetched, added, removed."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rwc_daemon.errors import BadModel
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.progress import share_bar
from rwc_daemon.host import paths
from rwc_daemon.settings import read
from rwc_daemon.store.assets import Asset, Assets, is_model, name_of


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "assets",
        description="Support files that RVC voices need: listed, fetched, added, removed. Needs no daemon.",
        epilog="A proxy is taken from HTTPS_PROXY; RWC_OFFLINE=1, or the setting assets.offline, forbids the network.",
    )
    acts = parser.add_subparsers(dest="act", metavar="list|fetch|add|remove")
    acts.add_parser("list", description="Every support file: what for, how large, whether it is here.")
    fetch = acts.add_parser("fetch", description="Download and check; a stopped download goes on where it was.")
    fetch.add_argument("names", metavar="NAME", nargs="+", help="as `rwcctl assets` lists them")
    add = acts.add_parser("add", description="Take a file that is on this machine already.")
    add.add_argument("path", metavar="PATH", type=Path, help="hubert_base.pt, rmvpe.pt, … or a folder of such files")
    add.add_argument(
        "--name",
        metavar="NAME",
        help="what it has to be, otherwise its content says; content encoders: the name that voices ask for",
    )
    remove = acts.add_parser("remove", description="Delete support files from this machine.")
    remove.add_argument("names", metavar="NAME", nargs="+")


def run(args: argparse.Namespace) -> int:
    acts = {"list": show_all, "fetch": fetch, "add": add, "remove": remove}
    offline = args.act == "fetch" and read(paths.config_file(), os.environ).assets.offline
    acts[args.act or "list"](Assets(paths.assets_dir(), offline=offline), args)
    return 0


def show_all(assets: Assets, args: argparse.Namespace) -> None:
    found = assets.list()
    if args.json:
        show.as_json([{**asdict(asset), "path": str(asset.path)} for asset in found])
        return
    rows = [(asset.name, _place(asset), show.size(asset.bytes), asset.purpose, asset.licence) for asset in found]
    show.table(("name", "here", "download", "purpose", "licence"), rows)
    missing = [asset.name for asset in found if not asset.installed]
    if missing:
        print(f"\n`rwcctl assets fetch {missing[0]}` brings one in; `rwcctl assets add PATH` takes a file you have.")


def fetch(assets: Assets, args: argparse.Namespace) -> None:
    sizes = {asset.name: asset.bytes for asset in assets.list()}
    fetched = []
    for name in args.names:
        there = name in sizes and assets.has(name)
        with share_bar(name, sizes.get(name, 0)) as progress:
            path = assets.fetch(name, progress)
        fetched.append({"name": name, "path": str(path), "fetched": not there})
        if not args.json:
            print(f"{name} is here already." if there else f"{name} is here: {path}")
    if args.json:
        show.as_json(fetched)


def add(assets: Assets, args: argparse.Namespace) -> None:
    if args.path.is_dir() and not is_model(args.path) and not args.name:
        return add_all(assets, args)
    with share_bar(args.path.name) as progress:
        path = assets.add(args.path, args.name, progress)
    if args.json:
        show.as_json({"name": name_of(path), "path": str(path)})
    else:
        print(f"{name_of(path)} is here: {path}")


def add_all(assets: Assets, args: argparse.Namespace) -> None:
    """Every support file below a folder. Raises BadModel where none of its files is one."""
    with share_bar(args.path.name or str(args.path)) as progress:
        added, left_out = assets.add_all(args.path, progress)
    if args.json:
        named = [{"name": name_of(path), "path": str(path)} for path in added]
        show.as_json({"added": named, "left_out": left_out})
    else:
        for path in added:
            print(f"{name_of(path)} is here: {path}")
        for reason in left_out:
            print(f"left out: {reason}")
    if not added:
        raise BadModel(f"{args.path} holds no support file that can be used: `rwcctl assets` lists those there are")


def remove(assets: Assets, args: argparse.Namespace) -> None:
    for name in args.names:
        assets.remove(name)
        if not args.json:
            print(f"{name} is removed.")
    if args.json:
        show.as_json({"removed": args.names})


def _place(asset: Asset) -> str:
    if not asset.installed:
        return "no"
    return "yes" if asset.known else "yes (another file)"
