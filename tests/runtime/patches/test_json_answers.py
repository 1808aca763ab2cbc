"""An answer is the very text that MLflow writes, for each kind of message that it answers with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from mlflow.protos import (
    datasets_pb2,
    mlflow_artifacts_pb2,
    model_registry_pb2,
    service_pb2,
    webhooks_pb2,
)
from mlflow.utils import proto_json_utils

from mlflow_runtime.patches import json_answers
from tests.support.role_environment import whole

DEEPEST = 4


def answers() -> Iterator[Descriptor]:
    """Yield each kind of answer, and each kind of message at the top."""
    for module in (service_pb2, model_registry_pb2, datasets_pb2, mlflow_artifacts_pb2, webhooks_pb2):
        for kind in module.DESCRIPTOR.message_types_by_name.values():
            yield kind
            yield from kind.nested_types


PLAIN = [kind for kind in answers() if json_answers._writer(kind) is not None]
OTHERS = [kind for kind in answers() if json_answers._writer(kind) is None]

_NUMBERS = {
    kind: st.integers(*ends)
    for ends, kinds in {
        (-(2**31), 2**31 - 1): ("INT32", "SINT32", "SFIXED32"),
        (-(2**63), 2**63 - 1): ("INT64", "SINT64", "SFIXED64"),
        (0, 2**32 - 1): ("UINT32", "FIXED32"),
        (0, 2**64 - 1): ("UINT64", "FIXED64"),
    }.items()
    for kind in (getattr(FieldDescriptor, f"TYPE_{name}") for name in kinds)
}
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    **_NUMBERS,
    FieldDescriptor.TYPE_DOUBLE: st.floats() | st.sampled_from([0.0, -0.0, 1e22, 5e-324]),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
}


def filled(draw: st.DrawFn, kind: Descriptor, depth: int = 0) -> Any:
    """Draw a message with some of its fields."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if depth == DEEPEST or not draw(st.booleans()):
            continue
        values = [value(draw, field, depth) for _ in range(draw(st.integers(0, 2)) if field.is_repeated else 1)]
        if field.message_type is None:
            getattr(message, field.name).extend(values) if field.is_repeated else setattr(message, field.name, *values)
        elif field.is_repeated:
            getattr(message, field.name).extend(values)
        else:
            getattr(message, field.name).CopyFrom(*values)
    return message


def value(draw: st.DrawFn, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return filled(draw, field.message_type, depth + 1)
    if field.enum_type is not None:
        return draw(st.sampled_from([each.number for each in field.enum_type.values]))
    return draw(_SCALARS[field.type])


@st.composite
def messages(draw: st.DrawFn) -> Any:
    return filled(draw, draw(st.sampled_from(PLAIN)))


@given(messages())
def test_a_message_is_written_as_mlflow_writes_it(message: Any) -> None:
    assert json_answers.message_to_json(message) == proto_json_utils.message_to_json(message)


def test_the_answers_that_matter_are_written_here() -> None:
    calls = (service_pb2.SearchRuns, service_pb2.SearchExperiments, service_pb2.GetRun, service_pb2.GetMetricHistory)
    assert {call.Response.DESCRIPTOR for call in calls} <= set(PLAIN)
    assert model_registry_pb2.SearchModelVersions.Response.DESCRIPTOR in PLAIN


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.full_name)
def test_what_is_not_plain_is_mlflows(kind: Descriptor) -> None:
    message = GetMessageClass(kind)()
    assert json_answers.message_to_json(message) == proto_json_utils.message_to_json(message)


def test_other_forms_are_mlflows() -> None:
    message = service_pb2.GetRun.Response()
    message.run.info.start_time = 5
    for form in ({"pretty": False}, {"convert_int64_to_number": False}):
        assert json_answers.message_to_json(message, **form) == proto_json_utils.message_to_json(message, **form)


# In a process of its own: to load a service changes MLflow in it.
LOAD = """
import os
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app, settings
mlflow_app.load(settings.read(ServiceRole.TRACKING, os.environ))
from mlflow.server import handlers
from mlflow_runtime.patches import json_answers
print(handlers.message_to_json is json_answers.message_to_json)
"""


def test_the_handlers_of_a_loaded_service_answer_with_it() -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **whole("tracking")}
    command = [sys.executable, "-W", "ignore", "-c", LOAD]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert loaded.stdout.splitlines()[-1:] == ["True"], loaded.stderr
