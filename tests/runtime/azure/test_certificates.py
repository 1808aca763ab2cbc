"""Certificates as Key Vault holds them."""

from __future__ import annotations

import datetime

import pytest

from mlflow_runtime.azure import certificates

HOST = "mlflow.example.com"
NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("host", "days", "problem"),
    [
        (HOST, 0, ""),
        (HOST, -1, "is not valid before 2026-10-31 23:00 UTC"),
        (HOST, 810, ""),
        (HOST, 812, "expires in 13 days, on 2029-02-03 00:00 UTC"),
        (HOST, 825, "has expired on 2029-02-03 00:00 UTC"),
        ("other.example.com", 0, f"is for {HOST} and not for other.example.com"),
    ],
)
def test_what_clients_would_refuse_is_said(host: str, days: int, problem: str) -> None:
    found = certificates.read(certificates.self_signed(HOST, NOW))
    assert found.problem(host, NOW + days * DAY) == problem


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("*.example.com", HOST, True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.mlflow.example.com", False),
        ("MLflow.Example.com", HOST, True),
    ],
)
def test_a_star_is_one_label(name: str, host: str, fits: bool) -> None:
    found = certificates.read(certificates.self_signed(name, NOW))
    assert (found.problem(host, NOW) == "") == fits


@pytest.mark.parametrize("cut", ["-----BEGIN PRIVATE", "-----BEGIN CERT", "nothing"])
def test_a_value_that_is_no_certificate_with_its_key_is_refused_without_showing_it(cut: str) -> None:
    value = certificates.self_signed(HOST, NOW)
    wrong = value.split(cut)[0] if cut == "-----BEGIN PRIVATE" else value.replace(cut, "x") if cut in value else cut
    with pytest.raises(ValueError, match="is neither PEM with") as refused:
        certificates.read(wrong)
    assert "MIG" not in str(refused.value)
    other = certificates.self_signed(HOST, NOW)
    key = other[other.index("-----BEGIN PRIVATE") :]
    with pytest.raises(ValueError, match="a private key that is not the one"):
        certificates.read(value[: value.index("-----BEGIN PRIVATE")] + key)


def test_a_certificate_shows_no_key() -> None:
    assert "PRIVATE" not in repr(certificates.read(certificates.self_signed(HOST)))
