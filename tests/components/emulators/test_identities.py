from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.emulators import identities
from components.emulators.identities import BlobAccess, EmulatedIdentity

names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


def test_ids_are_the_same_on_every_machine() -> None:
    assert identities.TENANT_ID == "73c234f2-17dd-50ea-b549-e67c7cbba1f9"
    assert identities.client_id("local", "mlflow-tracking") == str(
        uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:local"), "client/local/mlflow-tracking")
    )


@given(st.sets(st.tuples(names, names), min_size=2, max_size=6))
def test_no_two_identities_share_an_id(pairs: set[tuple[str, str]]) -> None:
    ids = [make(*pair) for pair in pairs for make in (identities.client_id, identities.principal_id)]
    assert len(set(ids)) == len(ids)


@given(st.lists(names, unique=True), st.lists(names), st.booleans(), st.sampled_from(BlobAccess))
def test_what_is_dumped_is_loaded(
    some_names: list[str], secrets: list[str], manage_secrets: bool, blobs: BlobAccess
) -> None:
    known = tuple(
        EmulatedIdentity.of("local", name, secrets=secrets, manage_secrets=manage_secrets, blobs=blobs)
        for name in some_names
    )
    assert identities.load(identities.dump(known)) == known


def test_what_is_wrong_is_refused_with_its_remedy() -> None:
    one = EmulatedIdentity.of("local", "one")
    entry = json.loads(identities.dump([one]))["identities"][0]
    with pytest.raises(ValueError, match=r"unknown \['secretes'\]; allowed are .*secrets"):
        identities.load(json.dumps({"identities": [entry | {"secretes": []}]}))
    with pytest.raises(ValueError, match="client_id of one: 'x' is no UUID"):
        identities.load(json.dumps({"identities": [entry | {"client_id": "x"}]}))
    with pytest.raises(ValueError, match=r"name \['one'\] given more than once"):
        identities.load(json.dumps({"identities": [entry, entry]}))
    with pytest.raises(ValueError, match="usable as a file name"):
        EmulatedIdentity.of("local", "../one")
