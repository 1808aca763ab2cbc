"""The command: build the image, compare two builds, run a role from it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from delivery.image import build, compare, container, context
from tools.steps import Report, ToolError, main

_TARGET = context.CHECKOUT / ".local" / "image"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m delivery.image", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build the image and print its digest")
    building.add_argument(
        "--base", metavar="NAME@sha256:…", help="the base; without it one is made here from Debian's packages"
    )
    building.add_argument("--output", type=Path, default=_TARGET, metavar="FOLDER", help=f"default: {_TARGET}")
    building.add_argument("--json", action="store_true", help="print digest, sizes, layers, labels as a document")
    comparing = commands.add_parser("compare", help="say in what two builds differ; fails if they do")
    comparing.add_argument("first", type=Path, metavar="FOLDER", help="what `build --output FOLDER` wrote")
    comparing.add_argument("second", type=Path, metavar="FOLDER")
    running = commands.add_parser("run", help="run one role with podman, with this process's environment")
    running.add_argument("image", metavar="IMAGE", help="an id or a reference that this machine has")
    running.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ROLE", help="as for mlflow-runtime")
    running.add_argument("--name", help="the container's name; an earlier one of that name is replaced")
    running.add_argument("--memory", type=int, default=1024, metavar="MIB", help="limit of its memory (default: 1024)")
    return parser


def _run(report: Report) -> None:
    given = _parser().parse_args()
    if given.command == "compare":
        _compare(given.first / "layout", given.second / "layout")
        return
    if given.command == "run":
        container.replace_this_process(given.image, given.arguments, name=given.name, memory_mib=given.memory)
    document = build.build(given.output, base_reference=given.base or None, report=report)
    report(_summary(document, given.output))
    print(json.dumps(document, indent=2) if given.json else document["digest"])


def _compare(first: Path, second: Path) -> None:
    found = compare.differences(first, second)
    for line in found:
        print(line)
    if found:
        raise ToolError(f"{len(found)} differences. Equal commits, bases and locks give equal images")
    print("the same image")


def _summary(document: dict[str, Any], output: Path) -> str:
    size = {kind: f"{number / 1e6:.0f} MB" for kind, number in document["size"].items()}
    mlflow = document["labels"]["org.mlflow.version"]
    return f"MLflow {mlflow}, {size['compressed']} compressed, {size['unpacked']} unpacked, in {output}"


if __name__ == "__main__":
    sys.exit(main("image", _run))
