"""Values set in a stack's file: every byte beside them stays."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.promote.lines import EditError, Path, Value, changed, loaded
from delivery.stacks import stacks
from tests.support.plane import REPOSITORY

IMAGE = ("config", "mlflow-platform:image")
RELEASE: dict[Path, Value] = {
    (*IMAGE, "digest"): f"sha256:{'5' * 64}",
    (*IMAGE, "commit"): "1e10" + "0" * 36,
    (*IMAGE, "mlflow"): "3.17.2",
    (*IMAGE, "schema"): "123456789e12",
    (*IMAGE, "contract"): 1,
}
LINES = [
    f"digest: sha256:{'5' * 64}",
    f'commit: "{"1e10" + "0" * 36}"',
    'mlflow: "3.17.2"',
    'schema: "123456789e12"',
    "contract: 1",
]


def text(content: str) -> str:
    return changed(content.encode(), RELEASE).decode()


@pytest.mark.parametrize("stack", [name for name in stacks() if name not in ("local", "bootstrap")])
def test_a_release_is_five_lines_of_the_repositorys_own_files(stack: str) -> None:
    before = (REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    assert text(before) == before.replace("    digest: none\n", "".join(f"    {line}\n" for line in LINES))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("indent", [1, 3, 8])
def test_line_ends_and_indents_stay(end: str, indent: int) -> None:
    space = " " * indent
    before = [
        f"# {end!r}",
        "config:",
        "  mlflow-platform:image:",
        f"  {space}digest: none  # not yet",
        "  other: [1]",
        "",
    ]
    after = [*before[:3], f"  {space}{LINES[0]}  # not yet", *(f"  {space}{line}" for line in LINES[1:]), *before[4:]]
    assert changed(end.join(before).encode(), RELEASE) == end.join(after).encode()


def test_a_file_without_a_line_end_at_its_end_stays_so() -> None:
    before = "config:\n  mlflow-platform:image:\n    digest: none"
    assert text(before) == before.replace("    digest: none", "\n".join(f"    {line}" for line in LINES))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{digest: none}", "{%s}"),
        ("{ digest: none , repository: a/b }", "{ %s , repository: a/b }"),
        ('{"repository": a, "digest": "none"} # why', '{"repository": a, "digest": %s} # why'),
    ],
)
def test_an_object_in_braces_stays_in_them(before: str, after: str) -> None:
    place = "config:\n  mlflow-platform:image: "
    values = ", ".join(LINES).removeprefix("digest: " if '"digest"' in before else "")
    assert text(f"{place}{before}\nother: 1\n") == f"{place}{after % values}\nother: 1\n"


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("config:\n  a: 1\n", ("config", "b", "c"), "config:\n  a: 1\n  b:\n    c: 7\n"),
        ("config:\n  b: {}\n  a: 1\n", ("config", "b", "c"), "config:\n  b: {c: 7}\n  a: 1\n"),
        ("config:\n  b:\n  a: 1\n", ("config", "b", "c"), "config:\n  b: {c: 7}\n  a: 1\n"),
        ("config:\n  b: null # x\n", ("config", "b", "c", "d"), "config:\n  b: {c: {d: 7}} # x\n"),
        ("config: {a: 1}\n", ("config", "b"), "config: {a: 1, b: 7}\n"),
        ("config:\n  a:\n    - 1\n    - x: 2 # last\nz: 1\n", ("config", "b"), None),
        ("config:\n  b:   'x' # y\n", ("config", "b"), "config:\n  b:   7 # y\n"),
        ("config:\n  b:\n", ("config", "b"), "config:\n  b: 7\n"),
    ],
)
def test_a_new_value_stands_at_the_end_of_its_object(before: str, path: Path, after: str | None) -> None:
    wanted = after or before.replace("# last\n", "# last\n  b: 7\n")
    assert changed(before.encode(), {path: 7}).decode() == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"config: {a: &x 1}\n", "line 1 has an anchor"),
        (b"a: &x {b: 1}\nconfig:\n  <<: *x\n", "line 1 has an anchor"),
        (b"config:\n  mlflow-platform:image: !!map {digest: none}\n", "line 2: got a tag"),
        (b"config:\n  mlflow-platform:image:\n    digest: none\n    digest: none\n", "got digest a second time"),
        (b"config:\n  mlflow-platform:image:\n    digest: |\n      none\n", "line 3 is a block of text"),
        (b"config:\n  mlflow-platform:image:\n    ? digest\n    : none\n", "write its keys in lines of their own"),
        (b"config:\n  mlflow-platform:image: none\n", "config.mlflow-platform:image is no object"),
        (b"config: [1]\n", "line 1: got a list as config"),
        (
            b"config:\n  mlflow-platform:image: {digest}\n",
            "image.contract cannot be written into it; write",
        ),
        (b"", "it is no object"),
        (b"- config\n", "line 1: got a list"),
        (b"config: {\n", "got no YAML"),
        (b"a: 1\n---\nconfig: {}\n", "line 2: got no YAML (expected a single document"),
        (b"config: \xff\n", "line 1: got the byte 0xff; expected UTF-8"),
    ],
)
def test_a_file_that_would_not_come_out_as_meant_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(EditError) as refused:
        changed(content, RELEASE)
    assert message in str(refused.value)


COMMENTS = ["", " # why", "  #", " # ünïcode: [x] {y}"]
VALUES = ["none", '"none"', "'none'", f"sha256:{'1' * 64}", "~", ""]
OTHERS = ["a: 1", "'b': [1, 2]", "c: {a: b}", '"d": "v: w"', "e: 2026-11-29", "f: 'it''s'", "# note", ""]
DIGEST_KEYS = ["digest", "'digest'"]
IN_IMAGE = ["repository: a/b", "contract: 3", "# note", "'mlflow':   3.1.1"]


def some(values: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A stack's file as somebody may write it."""
    outer = " " * draw(st.integers(1, 5))
    inner = outer + " " * draw(st.integers(1, 5))
    others = [f"{outer}{one}".rstrip() for one in draw(st.lists(some(OTHERS), unique=True))]
    split = draw(st.integers(0, len(others)))
    key = draw(some(["mlflow-platform:image", '"mlflow-platform:image"', "'mlflow-platform:image'"]))
    digest = f"{draw(some(DIGEST_KEYS))}: {draw(some(VALUES))}"
    image = draw(st.permutations([digest, *draw(st.lists(some(IN_IMAGE), unique=True))]))
    lines = [
        *draw(st.lists(some(["# top", ""]), max_size=2)),
        f"config:{draw(some(COMMENTS))}",
        *others[:split],
        f"{outer}{key}:{draw(some(COMMENTS))}",
        *(f"{inner}{one}{draw(some(COMMENTS))}" for one in image),
        *others[split:],
        *draw(st.lists(some(["encryptionsalt: v1:a=:b", "# end", ""]), max_size=2, unique=True)),
    ]
    return draw(some(["\n", "\r\n"])).join([*lines, *draw(st.sampled_from([[""], []]))])


@settings(max_examples=300)
@given(files())
def test_every_other_line_stays_and_the_values_are_there(before: str) -> None:
    after = text(before)
    expected = copy.deepcopy(loaded(before.encode()))
    expected["config"]["mlflow-platform:image"] |= {path[-1]: value for path, value in RELEASE.items()}
    assert loaded(after.encode()) == expected
    names = {path[-1] for path in RELEASE}

    def others(content: str) -> list[str]:
        return [line for line in content.splitlines() if line.strip().split(":")[0].strip("'") not in names]

    assert others(after) == others(before)
    # The last line may have had no end, and one behind it brings it one.
    assert after.endswith("\n") == before.endswith("\n")
    assert after.count("\r") == (after.count("\n") if "\r" in before else 0)
    assert text(after) == after
