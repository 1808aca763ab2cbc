"""The names of what a stack consists of, from its settings alone.

Names that only their resource group sees are readable: an abbreviation, `mlflow`, the stack. Names that are one for the
whole of Azure, as they become host names, end in a suffix of five characters: without it a stack's name could be
anybody's already. Where a type takes less than the whole, the stack's part is cut and the suffix never is.

Sources on Microsoft Learn: "Naming rules and restrictions for Azure resources" (lengths, characters, scopes),
"Abbreviation recommendations for Azure resources" (what names begin with), "Resolve errors for reserved resource
names" (words that Azure keeps to itself).
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from dataclasses import dataclass

from components.mlflow.roles import Role
from components.mlflow.topology import identity_name

# Azure: 3 to 63 lower-case letters, digits and single hyphens
# (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
ARTIFACT_CONTAINER = "mlflow"

LONGEST_STACK = 20
SUFFIX_LENGTH = 5

_STACK = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SUFFIX = re.compile(rf"[a-z][a-z0-9]{{{SUFFIX_LENGTH - 1}}}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,30}")
_SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Azure refuses them anywhere in the name of a resource with a host name, with code ReservedResourceName.
_RESERVED = ("microsoft", "windows")

# Of both types of account and vault; the limits of the other types are above the longest name that is made here.
_LONGEST_SHORT_NAME = 24


def identity_names() -> dict[Role, str]:
    """Of the local stack: one managed identity per role; its name is its database role's too."""
    return {role: identity_name(role) for role in Role}


def namespace(stack: str) -> str:
    """The namespace of a stack in a cluster: as it is no name that others see, it has no suffix."""
    return f"mlflow-{stack}"


def unique_suffix(subscription_id: str, stack: str, generation: str = "") -> str:
    """The end of the stack's globally unique names: five characters of a-z and 0-9, a letter first.

    The same for the same three, so nothing has to be remembered; the case of the subscription's id does not count.
    `generation` is any text of the configuration, and another one makes other names. It is for a stack that is made
    again while its old names are still taken: a deleted vault or server keeps its name for as long as it can be brought
    back. Changing it under a living stack replaces its vault, its storage and its database, with what is in them.

    Refuses a subscription that is not an id: its display name would make names too, and others after a renaming.
    """
    if not _SUBSCRIPTION.fullmatch(subscription_id.lower()):
        raise ValueError(
            f"subscription_id: {subscription_id!r} is no subscription's id, which is a GUID; "
            "read it with `az account show --query id`."
        )
    # JSON keeps the parts apart: another three never make the same text.
    text = json.dumps([subscription_id.lower(), stack, generation])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    number, first = divmod(number, len(string.ascii_lowercase))
    characters = [string.ascii_lowercase[first]]
    alphabet = string.ascii_lowercase + string.digits
    for _ in range(SUFFIX_LENGTH - 1):
        number, index = divmod(number, len(alphabet))
        characters.append(alphabet[index])
    return "".join(characters)


@dataclass(frozen=True, kw_only=True)
class Names:
    """The physical names of an Azure stack.

    `stack` has 1 to 20 lower-case letters, digits and single hyphens, a letter first and no hyphen last, and holds no
    word that Azure reserves; `suffix` is what `unique_suffix` gives. Anything else is a ValueError. A changed name
    replaces its resource.

        names = Names(stack="dev", suffix=unique_suffix(subscription_id, "dev"))
        names.key_vault  # "kv-mlflow-dev-x7k2q"
    """

    stack: str
    suffix: str

    def __post_init__(self) -> None:
        if len(self.stack) > LONGEST_STACK or not _STACK.fullmatch(self.stack):
            raise ValueError(
                f"stack: {self.stack!r}; allowed: 1 to {LONGEST_STACK} lower-case letters, digits and single hyphens, "
                "a letter first and no hyphen last. Rename the stack."
            )
        for word in _RESERVED:
            if word in _compact(self.stack):
                raise ValueError(
                    f"stack: {self.stack!r} holds {word!r}, which Azure reserves; allowed: any name without it. "
                    "Rename the stack."
                )
        if not _SUFFIX.fullmatch(self.suffix):
            raise ValueError(
                f"suffix: {self.suffix!r}; allowed: {SUFFIX_LENGTH} lower-case letters and digits, a letter first. "
                "Take it from unique_suffix()."
            )

    @property
    def resource_group(self) -> str:
        """Unique in the subscription, 1 to 90 characters."""
        return f"rg-{self._base}"

    @property
    def identity_group(self) -> str:
        """The group of the identities that a bootstrap stack makes for this one; no stack's own group is so named."""
        return f"rg-identities-{self._base}"

    @property
    def state(self) -> str:
        """The container with the stack's state, and the key that encrypts it: 3 to 63 and 1 to 127 characters."""
        return f"pulumi-{self.stack}"

    @property
    def network(self) -> str:
        """The virtual network, 2 to 64 characters."""
        return f"vnet-{self._base}"

    @property
    def workspace(self) -> str:
        """The Log Analytics workspace, 4 to 63 characters."""
        return f"log-{self._base}"

    @property
    def action_group(self) -> str:
        """The action group that alerts notify, 1 to 260 characters."""
        return f"ag-{self._base}"

    @property
    def environment(self) -> str:
        """The Container Apps environment, 2 to 60 characters."""
        return f"cae-{self._base}"

    def cluster(self, generation: str) -> str:
        """The AKS cluster of a `generation`, 1 to 54 characters, so that the name of its nodes' group is legal too."""
        return f"aks-{self._base}-{_word('generation', generation)}"

    def cluster_identity(self, *purpose: str) -> str:
        """The identity of a cluster's `purpose`, "nodes", or "control" and a generation: 3 to 128 characters, never a
        role's or a pipeline's."""
        return "-".join([f"id-aks-{self._base}", *(_word("purpose", word) for word in purpose)])

    @property
    def namespace(self) -> str:
        """The namespace in a cluster, 1 to 63 characters."""
        return namespace(self.stack)

    @property
    def gateway_host(self) -> str:
        """The name of the gateway of a cluster, and of the private DNS zone with it: 1 to 253 characters.

        The domain `internal` is for private use: no public name server will ever answer for it (ICANN, 2024).
        """
        return f"{self._base}.internal"

    @property
    def budget(self) -> str:
        """The stack's budget, 1 to 63 characters."""
        return self._base

    @property
    def postgres_zone(self) -> str:
        """The private DNS zone of the database server, 1 to 63 characters, which this fills with the longest stack.

        Azure refuses one that begins with the server's name; Learn, "Network with private access (virtual network
        integration) for Azure Database for PostgreSQL".
        """
        return f"{self._base}.private.postgres.database.azure.com"

    @property
    def database_server(self) -> str:
        """Globally unique, 3 to 63 lower-case letters, digits and hyphens."""
        return f"psql-{self._base}-{self.suffix}"

    @property
    def storage_account(self) -> str:
        """Globally unique, 3 to 24 lower-case letters and digits."""
        return _cut("stmlflow", _compact(self.stack), self.suffix)

    @property
    def key_vault(self) -> str:
        """Globally unique, 3 to 24 letters, digits and single hyphens, a letter first and no hyphen last."""
        return _cut("kv-mlflow-", self.stack, f"-{self.suffix}")

    @property
    def container_registry(self) -> str:
        """Globally unique, 5 to 50 letters and digits."""
        return f"crmlflow{_compact(self.stack)}{self.suffix}"

    def identity(self, role: Role) -> str:
        """The managed identity of a role, 3 to 128 characters, and its database role, of which PostgreSQL takes 63."""
        return f"id-{self._base}-{role.value}"

    def delivery_identity(self, purpose: str) -> str:
        """The identity that a pipeline signs in with, for a `purpose` of one word: "deploy", "preview".

        Refuses a purpose that is a role of the platform: both would be one identity, with the rights of both.
        """
        if purpose in set(Role):
            raise ValueError(
                f"purpose: {purpose!r} is a role of the platform; allowed: any other word, such as 'deploy'. "
                "Choose another."
            )
        return f"id-{self._base}-{_word('purpose', purpose)}"

    def workload(self, role: Role) -> str:
        """The container app or job of a role, 2 to 32 characters. Unique in its environment, so without the stack."""
        return f"mlflow-{role.value}"

    def private_endpoint(self, group: str) -> str:
        """The private endpoint of a private-link `group` such as "blob", 2 to 64 characters."""
        return f"pe-{self._base}-{_word('group', group)}"

    @property
    def _base(self) -> str:
        return namespace(self.stack)


def _compact(stack: str) -> str:
    return stack.replace("-", "")


def _cut(start: str, stack: str, end: str) -> str:
    """The three together, `stack` cut so that they fit, never behind a hyphen of its own."""
    return start + stack[: _LONGEST_SHORT_NAME - len(start) - len(end)].rstrip("-") + end


def _word(field: str, value: str) -> str:
    """A hyphen would let two stacks meet: stack `a` with `b-c`, and stack `a-b` with `c`."""
    if not _WORD.fullmatch(value):
        raise ValueError(
            f"{field}: {value!r}; allowed: one word of 1 to 31 letters and digits, a letter first. Choose another."
        )
    return value
