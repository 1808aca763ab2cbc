"""Bars and lines as SVG, for documents. Pure.

Light and dark pages show them alike: the ground is white, and colours differ in brightness too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#1b4f8a", "#d9822b", "#5aa469", "#7a7a7a", "#a33b3b", "#6b4fa0", "#222222")

_WIDTH, _LABELS, _BAR, _GAP, _TOP = 760, 230, 22, 8, 44
_PLOT, _HEIGHT, _LEFT = 620, 300, 70
_MARKED: Final = 12
_TEXT = 'font-family="sans-serif" font-size="13" fill="#222"'


def bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """One horizontal bar for each label, with its value behind it."""
    most = max([*values.values(), 0.0]) or 1.0
    room = _WIDTH - _LABELS - 110
    parts = [_text(16, 24, title, bold=True)]
    for row, (label, value) in enumerate(values.items()):
        top = _TOP + row * (_BAR + _GAP)
        width = max(1.0, value / most * room)
        parts += [
            _text(_LABELS - 8, top + 16, label, anchor="end"),
            f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{COLOURS[0]}"/>',
            _text(_LABELS + width + 6, top + 16, f"{value:,.0f} {unit}"),
        ]
    return _document(_WIDTH, _TOP + len(values) * (_BAR + _GAP) + 12, parts)


def lines(title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One line for each series of points. Both axes begin at 0; a series without points has only its name.

    Few points are marked each, and have their place named on the axis; of many the axis has its fifths.
    """
    points = [point for each in series.values() for point in each]
    right = max([x for x, _ in points], default=1.0) or 1.0
    most = max([y for _, y in points], default=1.0) or 1.0
    bottom, width = _TOP + _HEIGHT, _PLOT - _LEFT

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / right * width, bottom - y / most * (_HEIGHT - 10)

    parts = [_text(16, 24, title, bold=True), _text(_LEFT + width / 2, bottom + 38, across, anchor="middle")]
    parts.append(_text(16, _TOP - 2, up))
    parts.append(f'<path d="M{_LEFT} {_TOP} V{bottom} H{_PLOT}" fill="none" stroke="#222"/>')
    named = sorted({x for x, _ in points})
    if len(named) > _MARKED:
        named = [right * fifth / 5 for fifth in range(6)]
    for x in named:
        parts.append(_text(place(x, 0)[0], bottom + 18, f"{x:.3g}", anchor="middle"))
    for y in (most / 2, most):
        parts.append(_text(_LEFT - 6, place(0, y)[1] + 4, f"{y:,.0f}", anchor="end"))
    for index, (name, each) in enumerate(series.items()):
        colour, placed = COLOURS[index % len(COLOURS)], [place(x, y) for x, y in each]
        path = " ".join(f"{'M' if not number else 'L'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(placed))
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>' if placed else "")
        if len(placed) <= _MARKED:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in placed]
        row = _TOP + 20 + index * 22
        parts.append(f'<rect x="{_PLOT + 14}" y="{row - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(_PLOT + 32, row, name))
    return _document(_PLOT + 180, bottom + 50, parts)


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {_TEXT}{weight}>{escape(text)}</text>'


def _document(width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">'
    ground = f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'
    return "\n".join([head, ground, *(part for part in parts if part), "</svg>"]) + "\n"
