"""Answers `pip list` with what it said before, as long as nothing was installed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile


def answer(folder: str, options: list[str]) -> None:
    """Print the list and end; return where pip fails, so that it says itself why."""
    said = f"{folder}/{_key(options)}"
    if not os.path.exists(said):
        environment = os.environ | {"WARM_PROGRAMS": ""}
        done = subprocess.run([sys.executable, *options], env=environment, capture_output=True, check=False)
        if done.returncode != 0 or done.stderr:
            return
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(done.stdout)
        os.replace(file.name, said)
    with open(said, "rb") as kept, open(1, "wb", closefd=False) as out:
        shutil.copyfileobj(kept, out)
    os._exit(0)


def _key(options: list[str]) -> str:
    """Return the name of the answer to these options in this environment: it changes with each installed package."""
    installed = {path: sorted(filter(_is_package, os.listdir(path))) for path in sys.path if os.path.isdir(path)}
    facts = {
        "options": options,
        "prefix": sys.prefix,
        "installed": installed,
        "settings": {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "PYTHON"))},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_package(name: str) -> bool:
    return name.endswith((".dist-info", ".egg-info", ".egg-link"))
