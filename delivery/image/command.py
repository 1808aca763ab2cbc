"""`mlflow-platform image`: build the image, compare two builds, push one to a registry, run a role from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from delivery.image import build as builder
from delivery.image import compare as comparison
from delivery.image import container, context, layout, registry
from delivery.outcome import EXIT_CODES, CommandError, ExitCode
from delivery.promote.release import REVISION_LABEL
from delivery.terminal import say
from tools.steps import Report, ToolError

_TARGET: Final = context.CHECKOUT / ".local" / "image"
_Build = Annotated[Path, typer.Argument(metavar="FOLDER", help="What `image build --output FOLDER` wrote.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback(epilog=EXIT_CODES)
def image() -> None:
    """Build the image, compare two builds, push one to a registry, or run a role from it.

    Example: mlflow-platform image build --json
    """


@app.command(epilog=EXIT_CODES)
def build(
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME@sha256:…", help="The base; without it one is made here from Debian's packages."),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the build goes.", show_default=".local/image")
    ] = _TARGET,
    as_json: Annotated[bool, typer.Option("--json", help="Print digest, sizes, layers, labels as a document.")] = False,
) -> int:
    """Build the image and print its digest.

    Example: mlflow-platform image build --base registry.example.com/python@sha256:…
    """
    with _steps() as report:
        document = builder.build(output, base_reference=base or None, report=report)
        report(_summary(document, output))
    say(json.dumps(document, indent=2) if as_json else document["digest"])
    return ExitCode.DONE


@app.command(epilog=EXIT_CODES)
def compare(first: _Build, second: _Build) -> int:
    """Say in what two builds differ; fail if they do.

    Example: mlflow-platform image compare first second
    """
    _refuse_differences(first, second)
    say("the same image")
    return ExitCode.DONE


@app.command(epilog=EXIT_CODES)
def push(
    builds: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="What `image build --output FOLDER` wrote, once or by several machines."),
    ],
    to: Annotated[str, typer.Option("--to", metavar="HOST/REPOSITORY", help="The repository of a registry.")],
    tag: Annotated[str, typer.Option(help="Its tag there.", show_default="the commit")] = "",
    outputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append `name` and `digest`, as to GitHub's GITHUB_OUTPUT.")
    ] = None,
) -> int:
    """Push a build to a registry and print its name with the digest, which is that of the build.

    Of several builds nothing is pushed unless they are the same image. A copy of a build is refused: it says nothing of
    another machine. An Azure registry is signed in to as you are signed in to Azure, another one as podman or docker
    are.

    Example: mlflow-platform image push .local/image --to NAME.azurecr.io/mlflow-platform
    """
    first = builds[0]
    for other in builds[1:]:
        _refuse_differences(first, other)
    try:
        builder.refuse_copies([(folder, builder.number(folder)) for folder in builds])
    except builder.CopyError as error:
        raise CommandError(f"image push: {error}", ExitCode.USAGE) from None
    with _steps() as report:
        place = registry.Place.named(to)
        image = layout.head(first / "layout")
        new = registry.push(first / "layout", place, tag or _revision(image))
        report(f"{'pushed to' if new else 'already in'} {place}")
    if outputs is not None:
        with outputs.open("a") as file:
            file.write(f"name={place}\ndigest={image.digest}\n")
    say(f"{place}@{image.digest}")
    return ExitCode.DONE


# What follows the image's name is the role's, options too.
@app.command(epilog=EXIT_CODES, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def run(
    reference: Annotated[str, typer.Argument(metavar="IMAGE", help="An id or a reference that this machine has.")],
    arguments: Annotated[list[str], typer.Argument(metavar="ROLE", help="As for mlflow-runtime.")],
    name: Annotated[
        str | None, typer.Option(help="The container's name; an earlier one of that name is replaced.")
    ] = None,
    memory: Annotated[int, typer.Option(help="Limit of its memory, in MiB.", min=1)] = 1024,
) -> None:
    """Run one role with podman, with this process's environment.

    Options come before the image; the exit code is the role's.

    Example: mlflow-platform image run --memory 2048 localhost/mlflow-runtime tracking
    """
    with _steps():
        container.replace_this_process(reference, arguments, name=name, memory_mib=memory)


def _refuse_differences(first: Path, second: Path) -> None:
    """Print in what two builds differ. Raises CommandError if they do."""
    with _steps():
        found = comparison.differences(first / "layout", second / "layout")
    for line in found:
        say(line)
    if found:
        raise CommandError(f"image: {len(found)} differences. Equal commits, bases and locks give equal images")


def _revision(image: layout.Head) -> str:
    """The commit that an image is built from. Raises ToolError where there is none, or files differed from it."""
    revision = str((image.config.get("config", {}).get("Labels") or {}).get(REVISION_LABEL, ""))
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ToolError(
            f"got an image of revision {revision or 'none'!r}; expected one that is built from a commit. Commit, run "
            "`make image`, and push again"
        )
    return revision


@contextmanager
def _steps() -> Iterator[Report]:
    """Progress of long steps on stderr, and what the tools refuse as one line."""
    try:
        yield Report("image")
    except ToolError as error:
        raise CommandError(f"image: {error}") from error


def _summary(document: dict[str, Any], output: Path) -> str:
    size = {kind: f"{number / 1e6:.0f} MB" for kind, number in document["size"].items()}
    mlflow = document["labels"]["org.mlflow.version"]
    return f"MLflow {mlflow}, {size['compressed']} compressed, {size['unpacked']} unpacked, in {output}"
