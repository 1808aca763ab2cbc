"""Who may call which peer, computed from network policies by network-config-analyzer, which reads them by itself."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tools import wheels
from tools.steps import Report

CHECKOUT = Path(__file__).parents[4]

# The analyzer is imported once for all folders: that takes longer than the analysis.
_RUN = """
import sys
from nca.nca_cli import nca_main
for folder in sys.argv[1:]:
    print("folder", folder)
    nca_main(["--connectivity", folder, "--resource_list", folder, "--output_format", "txt_no_fw_rules"])
"""
_FLOW = re.compile(r"^(?P<source>\S+?) => (?P<target>\S+?) : (?P<what>.+)$", re.MULTILINE)
_POD = re.compile(r"^[^/]+/(?P<name>[a-z0-9-]+?)(-[0-9a-f]{12})?\[\w+\]$")


class Flow(NamedTuple):
    """`port` is as the analyzer writes it, "any" for every port of every protocol."""

    source: str
    target: str
    port: str


def flows(
    worlds: Mapping[str, Sequence[Mapping[str, Any]]], ranges: Mapping[str, str], folder: Path
) -> dict[str, set[Flow]]:
    """Return the flows of each world of objects. Ranges of addresses are called by their names, others `internet`."""
    for name, objects in worlds.items():
        (folder / name).mkdir()
        (folder / name / "objects.yaml").write_text(yaml.safe_dump_all(list(objects)))
    found = subprocess.run(
        [sys.executable, "-c", _RUN, *(str(folder / name) for name in worlds)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(_analyzer())},
    )
    parts = re.split(r"^folder (\S+)$", found.stdout, flags=re.MULTILINE)[1:]
    written = dict(zip((Path(each).name for each in parts[::2]), parts[1::2], strict=True))
    return {
        name: {
            Flow(_named(each["source"], ranges), _named(each["target"], ranges), _port(each["what"]))
            for each in _FLOW.finditer(written[name])
        }
        for name in worlds
    }


@functools.cache
def _analyzer() -> Path:
    return wheels.unpacked(CHECKOUT / "tools" / "policies.txt", essential="nca/nca_cli.py", report=Report("test"))


def _named(peer: str, ranges: Mapping[str, str]) -> str:
    pod = _POD.match(peer)
    return pod["name"] if pod else ranges.get(peer, "internet")


def _port(what: str) -> str:
    ports = re.search(r"dst_ports:([^},]+)", what)
    return ports[1] if ports else "any"
