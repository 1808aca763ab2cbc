"""Where packages come from, for uv: wherever the user's pip takes them from.

uv reads no pip configuration. Its own UV_* variables and uv.toml go before what is translated here, and are left as
they are. Sources: pip's documentation of its configuration files, uv's of its environment variables.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECTIONS = ("global", "install")  # later ones win


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with uv's variables added for pip's settings that the user has and uv's that the user has not."""
    pip = pip_settings(environ)
    result = dict(environ)

    def translate(setting: str, *variables: str, separator: str = " ") -> None:
        """Set the first variable, unless one of them is set already."""
        value = separator.join(pip.get(setting, "").split())
        if value and not any(environ.get(variable) for variable in variables):
            result[variables[0]] = value

    pip["find-links"] = " ".join(link for link in pip.get("find-links", "").split() if _may_exist(link))
    translate("index-url", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    translate("extra-index-url", "UV_INDEX", "UV_EXTRA_INDEX_URL")
    translate("find-links", "UV_FIND_LINKS", separator=",")
    translate("trusted-host", "UV_INSECURE_HOST")
    translate("cert", "SSL_CERT_FILE")
    translate("proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    translate("proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    if "UV_INDEX" in result and "UV_INDEX_STRATEGY" not in result:
        # pip takes the best of all its indexes. That is safe here because every file's hash is pinned.
        result["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return result


def uv_arguments(environ: Mapping[str, str]) -> list[str]:
    """Options for those settings of pip that uv takes on its command line only."""
    return ["--no-index"] if pip_settings(environ).get("no-index", "").lower() in ("1", "true", "yes", "on") else []


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """pip's settings for an installation, by name as in its files: from its files, then from PIP_* variables."""
    settings: dict[str, str] = {}
    for file in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except configparser.Error as error:
            print(f"pip's configuration {file} is not understood and left out: {error}", file=sys.stderr)
            continue
        for section in _SECTIONS:
            if parser.has_section(section):
                settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    prefix = "PIP_"
    variables = {name: value for name, value in environ.items() if name.startswith(prefix) and value}
    return settings | {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in variables.items()}


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files, least important first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/Library/Application Support/pip/pip.conf") if sys.platform == "darwin" else Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    if named:
        yield Path(named)


def _may_exist(link: str) -> bool:
    """False for a local folder that is not there: pip passes over it, uv fails."""
    return "://" in link or Path(link).expanduser().exists()
