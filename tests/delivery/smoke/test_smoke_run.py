"""The program against a real server: a day that works, and what it leaves on the server and on the machine."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow import MlflowClient

from delivery.smoke.steps.table import STEPS
from tests.delivery.smoke.conftest import Smoke
from tests.delivery.smoke.proxy import proxy
from tests.delivery.smoke.server import Server


def test_passes_and_touches_nothing_of_the_user(server: Server, smoke: Smoke, tmp_path: Path) -> None:
    before = server.holdings()
    assert before["runs"]
    assert before["traces"]
    assert before["prompts"]
    assert before["files"]
    run_id = before["runs"][0]["info"]["run_id"]
    leaks = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_EXPERIMENT_NAME": "smoke",
        "MLFLOW_TRACKING_DIR": "/nowhere",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }

    finished = smoke(server.url, **leaks)

    assert finished.code == 0, finished.output + finished.errors
    assert finished.errors == ""
    lines = finished.output.splitlines()
    assert [line[6:].split("  ")[0].rstrip() for line in lines[:-1]] == [*(step.name for step in STEPS), "clean up"]
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert "64 MiB" in finished.output
    assert lines[-1].startswith(f"smoke passed against {server.url}: {len(STEPS) + 1} steps, 0 failed, 0 not run")
    assert server.holdings() == before
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "home").iterdir()) == []


def test_keep_leaves_what_the_document_names_and_credentials_are_sent_by_trusted_tls_alone(
    server: Server, smoke: Smoke, tmp_path: Path
) -> None:
    certificate, context = _certificate(tmp_path)
    with proxy(server.url, lambda _method, _path, forward: forward(), context) as front:
        refused = smoke(front.url, "--quick", MLFLOW_TRACKING_TOKEN="of-the-user")
        assert front.authorizations == set()
        given = ("--quick", "--keep", "--json", "--ca-bundle", str(certificate))
        finished = smoke(front.url, *given, MLFLOW_TRACKING_TOKEN="of-the-user")

    assert refused.code == 2
    assert "is not trusted" in refused.errors
    assert "--ca-bundle" in refused.errors
    assert refused.output == ""
    assert finished.code == 0, finished.errors
    assert "of-the-user" not in finished.output + finished.errors
    assert front.authorizations - {None} == {"Bearer of-the-user"}
    document, client = finished.document, MlflowClient(server.url, server.url)
    assert document["passed"] is True
    assert document["kept"] is True
    assert document["left_over"] == []
    assert finished.states["large artifact"] == "skipped"
    assert "clean up" not in finished.states
    made = document["created"]
    assert all(made.values())
    assert client.get_experiment(made["experiment_id"]).name == made["experiment_name"]
    assert client.get_run(made["run_id"]).info.status == "FINISHED"
    assert client.get_run(made["nested_run_id"]).data.tags["mlflow.parentRunId"] == made["run_id"]
    assert client.get_model_version_by_alias(made["model_name"], made["model_alias"]).version == made["model_version"]
    assert client.get_logged_model(made["logged_model_id"]).source_run_id == made["run_id"]
    assert client.load_prompt(f"prompts:/{made['prompt_name']}/{made['prompt_version']}").template
    assert [client.get_trace(trace_id).info.experiment_id for trace_id in made["trace_ids"]] == [
        made["experiment_id"]
    ] * 2
    listed = {item.path for folder in (None, "notes") for item in client.list_artifacts(made["run_id"], folder)}
    assert set(made["artifact_paths"]) <= listed
    assert finished.errors.count("\n") == len(STEPS)


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody trusts yet, and a server's context that uses it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smoke test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return certificate_file, context
