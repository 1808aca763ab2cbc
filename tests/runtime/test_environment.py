"""The reader that all roles share: what it takes, what it says about the rest, and what it never repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime import environment
from mlflow_runtime.environment import PLATFORM_VARIABLES, Reader, SettingsError, is_guid, list_of, number, variable

GUID = "11111111-2222-3333-4444-abcdefabcdef"
IDENTITY = {"AZURE_CLIENT_ID": GUID, "IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi/token", "IDENTITY_HEADER": "hunter2"}


def problems(read: Callable[[Reader], Any], **env: str) -> list[str]:
    """What `check` says after `read` of these settings, below its header."""
    reader = Reader({variable(name): text for name, text in env.items()})
    read(reader)
    try:
        reader.check("The test")
    except SettingsError as error:
        header, *lines = str(error).splitlines()
        assert header == "The test cannot start with these settings:"
        return lines
    return []


def word(text: str) -> str:
    if not text.isalpha():
        raise ValueError("must be a word.")
    return text


def test_a_value_is_parsed_without_the_space_around_it() -> None:
    assert Reader({variable("A"): " 7 \n"}).get("A", number(1, 9)) == 7


@pytest.mark.parametrize("text", ["", "  ", None])
def test_an_empty_variable_counts_as_not_set(text: str | None) -> None:
    env = {} if text is None else {variable("A"): text}
    assert Reader(env).get("A", number(1, 9), "3") == 3
    assert problems(lambda reader: reader.get("A", word), **({} if text is None else {"A": text})) == [
        "MLFLOW_RUNTIME_A: is not set; it must be a word."
    ]


def test_a_wrong_value_is_shown_with_what_is_allowed_and_what_to_do() -> None:
    assert problems(lambda reader: reader.get("A", number(1, 9)), A="x") == [
        "MLFLOW_RUNTIME_A: 'x' must be a whole number from 1 to 9."
    ]
    assert problems(lambda reader: reader.get("A", number(1, 9), "3"), A="x") == [
        "MLFLOW_RUNTIME_A: 'x' must be a whole number from 1 to 9. Leave it out for 3."
    ]


def test_what_may_be_secret_is_not_shown() -> None:
    assert problems(lambda reader: reader.get("A", word, secret=True), A="hunter2") == [
        "MLFLOW_RUNTIME_A: its value must be a word."
    ]


def test_all_that_is_wrong_is_in_one_message_in_the_order_of_reading() -> None:
    def read(reader: Reader) -> None:
        for name in "BCA":
            reader.get(name, word)
        reader.refuse("B and C", "do not go together.")

    assert problems(read, A="1", B="fine") == [
        "MLFLOW_RUNTIME_C: is not set; it must be a word.",
        "MLFLOW_RUNTIME_A: '1' must be a word.",
        "B and C: do not go together.",
    ]


def test_two_variables_that_name_the_same_are_refused() -> None:
    def read(reader: Reader) -> None:
        for name in "AB":
            reader.get(name, word)
        reader.distinct("A", "B", str.lower)

    assert problems(read, A="Same", B="same") == [
        "MLFLOW_RUNTIME_A and MLFLOW_RUNTIME_B: both name 'same'; give each its own."
    ]
    assert problems(read, A="one", B="other") == []
    # Two that are wrong, or not set, are not the same: there is nothing to compare.
    assert problems(read, A="1", B="1") == [
        "MLFLOW_RUNTIME_A: '1' must be a word.",
        "MLFLOW_RUNTIME_B: '1' must be a word.",
    ]


def test_a_variable_that_is_not_read_is_refused_with_the_nearest_that_is() -> None:
    def read(reader: Reader) -> None:
        reader.get("MAX_IN_FLIGHT", number(1, 9), "3")

    assert problems(read, MAX_INFLIGHT="9") == [
        "MLFLOW_RUNTIME_MAX_INFLIGHT: is not read by this role. Rename it to MLFLOW_RUNTIME_MAX_IN_FLIGHT."
    ]
    assert problems(read, SOMETHING="") == ["MLFLOW_RUNTIME_SOMETHING: is not read by this role. Remove it."]
    assert problems(read, MAX_IN_FLIGHT="9") == []


def test_a_variable_that_is_not_read_does_not_show_its_value() -> None:
    (line,) = problems(lambda reader: reader.given("A"), A="x", DATABASE_PASSWORD="hunter2")
    assert line.startswith("MLFLOW_RUNTIME_DATABASE_PASSWORD: ")
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["PATH", "SSL_CERT_FILE", "MLFLOW_DISABLE_TELEMETRY", *sorted(PLATFORM_VARIABLES)])
def test_variables_of_others_are_not_looked_at(name: str) -> None:
    Reader({name: "hunter2"}).check("The test")


@pytest.mark.parametrize("name", sorted(PLATFORM_VARIABLES))
def test_what_platforms_set_has_no_prefix(name: str) -> None:
    assert Reader({name: "a"}).given(name) == "a"
    assert Reader({f"MLFLOW_RUNTIME_{name}": "a"}).given(name) == ""


def test_lists() -> None:
    assert list_of(word)("a, b") == ("a", "b")
    assert list_of(word, optional=True)("") == ()
    for text in ("", "a,", "a,,b", "a,a"):
        with pytest.raises(ValueError, match="must"):
            list_of(word)(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-10, 10**7))
def test_a_number_is_taken_within_its_limits_and_no_further(least: int, most: int, value: int) -> None:
    if least <= value <= most:
        assert number(least, most)(str(value)) == value
    else:
        with pytest.raises(ValueError, match=f"from {least} to {most}"):
            number(least, most)(str(value))


@pytest.mark.parametrize("text", ["", "٣", "1.0", "+1", "1e1", "1_0", "0x1", "1 "])
def test_only_plain_digits_are_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        number(0, 99)(text)


@pytest.mark.parametrize("text", ["", GUID[:-1], f"{{{GUID}}}", f"urn:uuid:{GUID}", GUID.replace("-", ""), f" {GUID}"])
def test_a_guid_has_one_form(text: str) -> None:
    assert is_guid(GUID)
    assert is_guid(GUID.upper())
    assert not is_guid(text)


def test_a_vault_has_no_slash_at_its_end() -> None:
    assert environment.key_vault_url(Reader({"MLFLOW_RUNTIME_KEY_VAULT_URL": "https://a.vault.azure.net/"})) == (
        "https://a.vault.azure.net"
    )
    assert (
        environment.key_vault_url(Reader({"MLFLOW_RUNTIME_KEY_VAULT_URL": "https://127.0.0.1:8443"}))
        == "https://127.0.0.1:8443"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://a.vault.azure.net",
        "https://user:hunter2@a.vault.azure.net",
        "https://a.vault.azure.net/secrets/hunter2",
        "https://a.vault.azure.net?sig=hunter2",
        "https://a.vault.azure.net#hunter2",
        "https://hunter2 .net",
        "https://[hunter2",
        "https://hunter2:99999",
        "https://",
    ],
)
def test_no_other_address_is_a_vaults_and_none_is_repeated(url: str) -> None:
    assert problems(environment.key_vault_url, KEY_VAULT_URL=url) == [
        "MLFLOW_RUNTIME_KEY_VAULT_URL: its value must be the vault's address, such as https://NAME.vault.azure.net."
    ]


def test_a_process_has_an_identity() -> None:
    assert problems(environment.require_identity, **IDENTITY) == []
    workload = {"AZURE_CLIENT_ID": GUID, "AZURE_FEDERATED_TOKEN_FILE": "/run/token", "AZURE_TENANT_ID": "t"}
    assert problems(environment.require_identity, **workload) == []
    for missing in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        (line,) = problems(environment.require_identity, **IDENTITY | {missing: ""})
        assert line.startswith("IDENTITY_ENDPOINT and IDENTITY_HEADER: not both are set")
        assert "hunter2" not in line
    (line,) = problems(environment.require_identity, **IDENTITY | {"AZURE_CLIENT_ID": "mlflow-tracking"})
    assert line.startswith("AZURE_CLIENT_ID: 'mlflow-tracking' must be the client id (a GUID)")
