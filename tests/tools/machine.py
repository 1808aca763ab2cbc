"""A machine to choose an engine on, whose Go is a stub."""

from __future__ import annotations

from pathlib import Path

from tests.tools.conftest import CHECKOUT, Tool, stub
from tools.pulumi.kinds import FILES, pinned_version

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there
PINNED = pinned_version()

_GO = """
printf '%s\\n' "$*" >> {log}
case "$*" in
  "env GOVERSION") echo {version};;
  "list -m"*) echo {sdk};;
  "list "*) echo "go: downloading some/module v1"; echo "stale some/package";;
  "build "*)
    {before_build}
    echo some/package
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho v{built}\\n' > "$2"; /bin/chmod 755 "$2";;
esac
"""


class Machine:
    """A machine with a stub Go on PATH, whose calls are logged, and no way to the download site."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.log = folder / "go.log"
        self.cache = folder / "cache" / "mlflow-platform" / "pulumi"
        self.tool = Tool(
            script=CHECKOUT / "tools" / "pulumi" / "engine.py",
            environment=environment | {"PULUMI_ENGINE_DOWNLOADS": NOWHERE},
        )
        for script in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
            stub(folder / "sdk" / "python" / script, "exit 0")
        self.put_go()

    def put_go(self, *, before_build: str = ":", version: str = "go1.99.0", built: str = PINNED) -> None:
        sdk = self.folder / "sdk"
        text = _GO.format(log=self.log, version=version, sdk=sdk, before_build=before_build, built=built)
        stub(self.bin / "go", text)

    def put_pulumi(self, answer: str, companions: tuple[str, ...] = FILES[1:]) -> None:
        stub(self.bin / "pulumi", answer)
        for name in companions:
            stub(self.bin / name, "exit 0")

    def go_calls(self, command: str) -> int:
        return sum(line.startswith(command) for line in self.log.read_text().splitlines()) if self.log.exists() else 0

    def staging(self) -> list[Path]:
        return list(self.cache.glob(".making-*"))

    def finished(self) -> list[Path]:
        return [path for path in self.cache.iterdir() if not path.name.startswith(".")] if self.cache.exists() else []
