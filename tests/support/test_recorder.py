"""A graph that tests share is that of their own arguments."""

from __future__ import annotations

from typing import Any

from tests.support.recorder import Graph, shared


@shared
def recording(scenario: str, **_: Any) -> Graph:
    return Graph([scenario], {})


def test_equal_arguments_share_a_graph_and_others_do_not() -> None:
    assert recording("one", ranges=("a",), preview=True) is recording("one", preview=True, ranges=("a",))
    graphs = [recording("one"), recording("two"), recording("one", ranges=("a",)), recording("one", ranges=("b",))]
    assert len({id(graph) for graph in graphs}) == len(graphs)


def test_an_argument_that_shows_no_value_records_each_time() -> None:
    assert recording("one", scope=object()) is not recording("one", scope=object())
