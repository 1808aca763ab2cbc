"""docs/configuration.md, from the settings' model and the profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.settings.azure import AzureSettings
from infra.settings.bootstrap import BootstrapFile
from infra.settings.fields import bounds, expectation, extra, keys, section_of, span, type_name
from infra.settings.local import LocalPart
from infra.settings.model import Common
from infra.settings.profiles import PROFILES, Profile, ProfileName

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "configuration.md"
_PARTS: Mapping[str, type[BaseModel]] = {
    "Every stack": Common,
    "Stacks on one machine": LocalPart,
    "Stacks on Azure": AzureSettings,
    "The bootstrap stack": BootstrapFile,
}
_INTRODUCTION = """\
# Configuration

`mlflow-platform reference` writes this file from `infra/settings/`.

A stack's file, `stacks/Pulumi.STACK.yaml`, holds only what differs from its profile. Set a value with
`pulumi config set --path KEY VALUE -s STACK`, and remove it with `pulumi config rm --path KEY -s STACK`. Both need the
engine, which `export PATH="$(python3 tools/pulumi/engine.py):$PATH"` puts on the path, and a stack that exists. Before
there is one, write the file by hand: `tags.owner` is `owner:` below `mlflow-platform:tags:`, which is below `config:`.
`pulumi login --local && pulumi stack init STACK` makes a stack without Azure. The program refuses unknown keys, wrong
types, encrypted values, impossible combinations and what the [guardrails](guardrails.md) name, before it creates
anything and in one message.
A default that depends on the profile is shown for each profile. `auto` is the default of a boolean or a choice."""


def render(parts: Mapping[str, type[BaseModel]] = _PARTS) -> str:
    """Return the document: a part for each model, in it a table for each object, in it a row for each setting."""
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    yield _INTRODUCTION
    for title, model in parts.items():
        yield from ("", f"## {title}")
        fields = keys(model)
        profiles = {} if model is BootstrapFile else PROFILES
        if plain := {key: info for key, info in fields.items() if section_of(info) is None}:
            yield from _table("", plain, profiles)
        for key, info in fields.items():
            if (section := section_of(info)) is not None:
                yield from ("", f"### {key}")
                if section.__doc__:
                    yield from ("", _sentence(section.__doc__.split("\n\n")[0]))
                yield from _table(f"{key}.", flat(section), profiles)


def flat(section: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Return the settings of an object by their keys, those of an object inside of it too."""
    found: dict[str, FieldInfo] = {}
    for key, info in keys(section).items():
        inner = section_of(info)
        found |= {f"{prefix}{key}": info} if inner is None else flat(inner, f"{prefix}{key}.")
    return found


def _table(prefix: str, fields: Mapping[str, FieldInfo], profiles: Mapping[ProfileName, Profile]) -> Iterator[str]:
    yield from ("", "| key | type | default | allowed | meaning |", "|---|---|---|---|---|")
    for key, info in fields.items():
        default = _default(f"{prefix}{key}", info, profiles)
        cells = (f"`{prefix}{key}`", type_name(info), default, _allowed(info), _meaning(info))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(key: str, info: FieldInfo, profiles: Mapping[ProfileName, Profile]) -> str:
    """Return the default of a setting: one value, or one for each profile that has another."""
    by_profile = {name: _of_profile(profile.values(), key) for name, profile in profiles.items()}
    given = {name: _value(value) for name, value in by_profile.items() if value is not None}
    if len({*given.values()}) == 1 and len(given) in (len(profiles), len(profiles) - 1):
        return next(iter(given.values()))
    if given:
        return ", ".join(f"{name} {value}" for name, value in given.items())
    if info.is_required():
        return extra(info, "otherwise") or "required"
    return _value(info.default)


def _of_profile(values: object, key: str) -> object:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _value(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple) and value:
        return f"`{', '.join(value)}`"
    return f"`{value}`" if value not in (None, "", (), {}) else "-"


def _allowed(info: FieldInfo) -> str:
    if (ends := bounds(info)) is not None:
        return f"{span(ends)} {extra(info, 'unit')}".rstrip()
    return expectation(info)


def _meaning(info: FieldInfo) -> str:
    return _sentence(info.description or "")


def _sentence(text: str) -> str:
    joined = " ".join(text.split())
    return f"{joined[:1].upper()}{joined[1:].rstrip('.')}." if joined else ""
