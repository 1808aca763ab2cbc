"""Where artifacts are kept: the one address of a blob container, and the forms in which others want it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mlflow_runtime.addresses import is_loopback, split_https

FORM: Final = "https://ACCOUNT.blob.core.windows.net/CONTAINER, or https://127.0.0.1:PORT/ACCOUNT/CONTAINER if emulated"

_AZURE_HOST = re.compile(r"([a-z0-9]{3,24})\.(blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net))")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_EMULATED_SUFFIX = "blob.core.windows.net"


@dataclass(frozen=True, kw_only=True)
class BlobAddress:
    """A container: the URL of its account as the Azure client wants it, the account's name, and its own name.

    `suffix` is the domain that MLflow's `wasbs://` form has behind the account; for an emulator it stands for the name
    only, nothing connects to it.
    """

    account_url: str
    account: str
    container: str
    suffix: str = _EMULATED_SUFFIX

    @property
    def wasbs(self) -> str:
        """MLflow's `--artifacts-destination` for the container."""
        return f"wasbs://{self.container}@{self.account}.{self.suffix}/"

    @classmethod
    def parse(cls, url: str) -> BlobAddress:
        """Read the URL of a container. Raises ValueError with the form to use for any other."""
        parts = split_https(url)
        if parts is None:
            raise ValueError(f"must be {FORM}.")
        host, segments = parts.hostname or "", [part for part in parts.path.split("/") if part]
        if is_loopback(host) and len(segments) == 2 and _ACCOUNT.fullmatch(segments[0]):
            account, container = segments
            address = cls(account_url=f"https://{parts.netloc}/{account}", account=account, container=container)
        elif (azure := _AZURE_HOST.fullmatch(host)) and parts.port in (None, 443) and len(segments) == 1:
            account, suffix = azure.groups()
            address = cls(account_url=f"https://{host}", account=account, container=segments[0], suffix=suffix)
        else:
            raise ValueError(f"must be {FORM}.")
        if not _CONTAINER.fullmatch(address.container):
            raise ValueError("names no container: 3 to 63 lower-case letters, digits and single hyphens.")
        return address
