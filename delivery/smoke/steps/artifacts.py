"""Files up and down, compared by SHA-256."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from delivery.smoke.bench import Bench
from delivery.smoke.check import expect

SUMMARY = "summary.txt"
FOLDER = "notes"
NOTE = "first plan.txt"  # the space shows whether paths are quoted on the way
LARGE = "large.bin"
MIB = 1024 * 1024


def small_content(name: str) -> bytes:
    """What the small file of that name holds: text with more than ASCII in it."""
    return f"{name}: Grüße, 数据, 1 + 1 = 2\n".encode() * 20


def small(bench: Bench) -> str:
    """Two small files, one in a folder, are listed with their sizes and come back as they went."""
    _upload(bench, _written(bench, SUMMARY))
    _upload(bench, _written(bench, NOTE), FOLDER)
    sizes = {name: len(small_content(name)) for name in (SUMMARY, NOTE)}
    root = {
        item.path: None if item.is_dir else item.file_size for item in bench.client.list_artifacts(bench.made.run_id)
    }
    expect(
        "artifacts of the run",
        {path: root.get(path, -1) for path in (SUMMARY, FOLDER)},
        {SUMMARY: sizes[SUMMARY], FOLDER: None},
    )
    inside = {item.path: item.file_size for item in bench.client.list_artifacts(bench.made.run_id, FOLDER)}
    expect(f"artifacts in {FOLDER}", inside, {f"{FOLDER}/{NOTE}": sizes[NOTE]})
    for path, name in ((SUMMARY, SUMMARY), (f"{FOLDER}/{NOTE}", NOTE)):
        expect(f"SHA-256 of {path}", _sha256(_download(bench, path)), hashlib.sha256(small_content(name)).hexdigest())
    return "2 files, SHA-256 equal"


def large(bench: Bench) -> str:
    """A file of random bytes that no buffer holds comes back as it went."""
    source = bench.scratch / LARGE
    with source.open("wb") as file:
        for _ in range(bench.large_mib):
            file.write(os.urandom(MIB))
    sent = _sha256(source)
    started = time.monotonic()
    _upload(bench, source)
    uploaded = time.monotonic()
    source.unlink()
    returned = _download(bench, LARGE)
    downloaded = time.monotonic()
    expect(f"SHA-256 of {LARGE}", _sha256(returned), sent)
    returned.unlink()
    up, down = bench.large_mib / (uploaded - started), bench.large_mib / (downloaded - uploaded)
    return f"{bench.large_mib} MiB, up {up:.0f} MiB/s, down {down:.0f} MiB/s, SHA-256 equal"


def _written(bench: Bench, name: str) -> Path:
    path = bench.scratch / name
    path.write_bytes(small_content(name))
    return path


def _upload(bench: Bench, source: Path, folder: str | None = None) -> None:
    bench.client.log_artifact(bench.made.run_id, str(source), folder)
    bench.made.artifact_paths.append(f"{folder}/{source.name}" if folder else source.name)


def _download(bench: Bench, path: str) -> Path:
    target = bench.scratch / "down"
    target.mkdir(exist_ok=True)
    return Path(bench.client.download_artifacts(bench.made.run_id, path, str(target)))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
