"""The image with another version of MLflow: `python -m tests.benchmarks.other_mlflow VERSION IMAGE` prints its id.

MLflow's own three distributions are replaced and the rest of the lock stays, so it stands for an older image where no
older image is at hand. Versions before 3.17 get the stub of `older.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from components.compute.local.containers import MLFLOW_LABEL
from delivery.image.programs import find
from mlflow_runtime.schema.history import release
from tests.support.plane import REPOSITORY
from tools import wheels
from tools.package_index import uv_arguments, uv_environment
from tools.steps import Report, main, output, run

DISTRIBUTIONS = ("mlflow", "mlflow-skinny", "mlflow-tracing")
STUB = Path(__file__).with_name("older.py")
_STUBBED_BEFORE = (3, 17, 0)
_REMEDY = "Check that pip reaches a package index."


def image_with(version: str, image: str, report: Report) -> str:
    """The id of a new image: `image` with that version of MLflow."""
    buildah = find("buildah")
    with tempfile.TemporaryDirectory(prefix="other-mlflow-") as scratch:
        installed = Path(scratch, "installed")
        _install(version, installed, report)
        container = output([buildah, "from", "--pull-never", image])
        try:
            as_root: list[str | Path] = [buildah, "run", "--isolation=chroot", "--user=0", container, "--"]
            packages = output([*as_root, "/opt/mlflow/bin/python", "-c", "import mlflow; print(*mlflow.__path__)"])
            site = packages.rpartition("/")[0]
            # What this version has not must go: a migration that it does not know would be one that it knows.
            gone = [f"{site}/mlflow", *(f"{site}/{name.replace('-', '_')}-*.dist-info" for name in DISTRIBUTIONS)]
            output([*as_root, "sh", "-c", f"rm -rf {' '.join(gone)}"])
            output([buildah, "copy", "--quiet", container, installed, site], seconds=300)
            if release(version) < _STUBBED_BEFORE:
                output([buildah, "copy", "--quiet", container, STUB, f"{site}/{STUB.name}"])
                (Path(scratch) / "older.pth").write_text(f"import {STUB.stem}\n")
                output([buildah, "copy", "--quiet", container, Path(scratch) / "older.pth", f"{site}/older.pth"])
            output([*as_root, "/opt/mlflow/bin/python", "-m", "compileall", "-qq", f"{site}/mlflow"], seconds=300)
            output([buildah, "config", f"--label={MLFLOW_LABEL}={version}", container])
            return "sha256:" + output([buildah, "commit", "--quiet", container], seconds=300).removeprefix("sha256:")
        finally:
            output([buildah, "rm", container])


def _install(version: str, target: Path, report: Report) -> None:
    uv = wheels.unpacked(REPOSITORY / "tools" / "uv.txt", essential="bin/uv", report=report) / "bin" / "uv"
    wanted = [f"{name}=={version}" for name in DISTRIBUTIONS]
    options: list[str | Path] = ["--quiet", "--no-deps", "--python", sys.executable, "--target", target]
    run(
        [uv, "pip", "install", *options, *uv_arguments(os.environ), *wanted],
        doing=f"installing MLflow {version}",
        report=report,
        remedy=_REMEDY,
        env=uv_environment(os.environ),
    )


def _run(report: Report) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.other_mlflow", description=__doc__)
    parser.add_argument("version", metavar="VERSION", help="a release of MLflow, such as 3.17.0")
    parser.add_argument("image", metavar="IMAGE", help="an image of the runtime that this machine has")
    given = parser.parse_args()
    print(image_with(given.version, given.image, report))


if __name__ == "__main__":
    sys.exit(main("image", _run))
