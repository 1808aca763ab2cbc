"""A stack's file says to the program's own reader what it says to the engine, or is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.offline_azure.running import engine, engine_environment, must
from infra.settings import stack_file
from infra.settings.stack_file import StackFileError

VALUES = (
    *("1:30", "190:20:30", "1.2.3", "yes", "no", "on", "off", "y", "True", "TRUE", "false", "tRue", "=", "<<x", "--1"),
    *("010", "0o10", "0x1F", "0X1F", "0b11", "-0b11", "-0o7", "089", "0o9", "0x", "0b2", "1_000", "1__0", "1_", "_1"),
    *("+1", "-0", "00", "1.", "1.5", ".5", "+.5", "1.0", "0.10", "1e3", "1e+2", "1e400", "~", "null", "Null", "''"),
    *("2027-02-28", "2027-2-8", "2027-02-30", "'2027-02-28'", "123456789012345678901234567890", "'1'", '"a\\tb"'),
    *("[2027-02-28, yes, 1:30, 010, 1.0]", "{a: 010, b: 1.50, c: {d: no}}", "{<<: {a: 1, b: 2}, b: 3}", "9" * 5001),
    *("&x {a: 1}", "*x", "{b: 2, <<: [*x, {a: 9, c: 3}]}", "'<<'", "{'<<': {a: 1}, b: 2}", "plain text", "é"),
)
REFUSED = {
    "a tab": (b"config:\n\ta:b: 1\n", 2, "found character '\\t'"),
    "a text as config": (b"config: foo\n", 1, "the value 'foo' as config"),
    "a list as config": (b"config: [1]\n", 1, "a list as config"),
    "a list as file": (b"\n- 1\n", 2, "a list"),
    "a value as file": (b"true\n", 1, "the value 'true'"),
    "a key twice": (b"config:\n  a:b: 1\n  a:b: 2\n", 3, "a:b a second time; expected one a:b; the first is in line 2"),
    "config twice": (b"config: {}\nconfig: {a:b: 1}\n", 2, "config a second time"),
    "a key twice inside": (b"config:\n  a:b: {x: 1, 'x': 2}\n", 2, "x a second time"),
    "two merges": (b"config:\n  a:b: {<<: {a: 1}, <<: {b: 1}}\n", 2, "<< a second time"),
    "a merge of a number": (b"config:\n  a:b: {<<: 3}\n", 2, "the value '3' at <<"),
    "a list as key": (b"config:\n  ? [1]\n  : 2\n", 2, "a list as a key"),
    "a number as key": (b"config:\n  a:b: {1: 2}\n", 2, "1 as a key"),
    "a boolean as key": (b"config:\n  a:b: {true: 2}\n", 2, "true as a key"),
    "a number as key of config": (b"config:\n  1: 2\n", 2, "1 as a key"),
    "a tag of Python's": (b"config:\n  a:b: !!python/object:os.x {}\n", 2, "a tag, which starts with !"),
    "a tag": (b"config:\n  a:b: !!str 1\n", 2, "a tag, which starts with !"),
    "an unknown alias": (b"config:\n  a:b: *x\n", 2, "found undefined alias 'x'"),
    "an alias of itself": (b"config:\n  a:b: &x [*x]\n", 2, "an alias of what it stands in"),
    "not UTF-8": (b"config:\n  a:b: \xe9\n", 2, "the byte 0xe9"),
    "a control character": (b"config:\n  a:b: x\x07y\n", 2, "the control character 0x07"),
    "two documents": (b"config: {}\n---\nconfig: {}\n", 2, "expected a single document"),
    "no number": (b"config:\n  a:b: .inf\n", 2, ".inf"),
    "a time": (b"config:\n  a:b: 2027-02-28 10:00:00\n", 2, "a time in quotes"),
    "aliases of aliases": (
        b"x: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 9)) for n in range(97, 103)),
        1,
        "aliases that stand for too many values",
    ),
    "too deep": (b"x: " + b"[" * 3000 + b"]" * 3000, 1, "too deep to read"),
}


def test_the_engine_reads_the_same_values(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    environment = engine_environment(tmp_path, 1)
    must(engine("stack", "init", "test", folder=tmp_path, environment=environment))
    file = tmp_path / "odd.yaml"

    def of_engine() -> dict[str, Any]:
        arguments = ("config", "--config-file", str(file), "--json", "--stack", "test")
        shown = must(engine(*arguments, folder=tmp_path, environment=environment))
        return {key: value["objectValue"] for key, value in json.loads(shown.out).items()}

    lines = [f"  p:k{place:02d}: {{v: {value}}}" for place, value in enumerate(VALUES)]
    file.write_text("config:\n" + "\n".join(lines) + "\n")
    read = of_engine()
    assert stack_file.read(file)["config"] == read
    # What is written is read by both as the same values again.
    file.write_text(stack_file.dumped(stack_file.read(file)))
    assert stack_file.read(file)["config"] == of_engine() == read


@pytest.mark.parametrize(("content", "line", "got"), REFUSED.values(), ids=REFUSED.keys())
def test_a_careless_file_is_refused_with_its_line(content: bytes, line: int, got: str) -> None:
    with pytest.raises(StackFileError) as refused:
        stack_file.parsed(content, "stacks/Pulumi.dev.yaml")
    message = str(refused.value)
    if line > 1:
        assert message.startswith(f"stacks/Pulumi.dev.yaml, line {line}: ")
    assert message.startswith("stacks/Pulumi.dev.yaml, line ")
    assert got in message
    assert "; expected " in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackFileError, match="got No such file or directory; expected a stack's file"):
        stack_file.read(tmp_path / "Pulumi.dev.yaml")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"config:\n", b"config: {}\n", b"\xef\xbb\xbfconfig: {}\n"])
def test_a_file_without_values_has_none(content: bytes) -> None:
    assert not stack_file.parsed(content, "it").get("config")


def test_the_projects_own_files_say_what_they_said() -> None:
    for file in Path("stacks").glob("Pulumi.*.yaml"):
        assert stack_file.read(file) == yaml.safe_load(file.read_text())
