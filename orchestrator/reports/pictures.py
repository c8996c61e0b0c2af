"""Draw when the tasks of a run ran, and what its steps wait for, as SVG that stands inside a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from orchestrator.reports.records import TaskRecord

MAX_BARS = 400
MAX_BOXES = 150

_ROW, _BAR, _LEFT, _WIDTH = 18, 12, 180, 960
_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y = 150, 28, 24, 44


def timeline(tasks: tuple[TaskRecord, ...]) -> str:
    """Draw a bar a task from its first attempt to its last; of many tasks, the longest."""
    spans = [(task, span) for task in tasks if (span := task.span)]
    if not spans:
        return ""
    longest = sorted(spans, key=lambda pair: pair[1][0] - pair[1][1])[:MAX_BARS]
    chosen = sorted(longest, key=lambda pair: pair[1])
    begin, end = min(span[0] for _, span in spans), max(span[1] for _, span in spans)
    scale = (_WIDTH - _LEFT - 10) / max(end - begin, 1e-6)
    height = _ROW * len(chosen) + 24
    bars = "".join(_bars(chosen, begin, scale))
    axis = f'<text x="{_LEFT}" y="{height - 6}">0 s</text>'
    axis += f'<text x="{_WIDTH - 10}" y="{height - 6}" text-anchor="end">{end - begin:.2f} s</text>'
    note = "" if len(chosen) == len(spans) else f"<p>The {len(chosen)} longest of {len(spans)} tasks.</p>"
    title = "<title>When each task ran</title>"
    return f'{note}<svg role="img" viewBox="0 0 {_WIDTH} {height}">{title}{bars}{axis}</svg>'


def _bars(chosen: list[tuple[TaskRecord, tuple[float, float]]], begin: float, scale: float) -> Iterator[str]:
    for place, (task, (start, stop)) in enumerate(chosen):
        y, x = place * _ROW, _LEFT + (start - begin) * scale
        name, width = escape(task.row.task_id), max((stop - start) * scale, 1.5)
        label = f"{name}: {task.row.status}, {stop - start:.3f} s, {len(task.attempts)} attempts"
        yield f'<text x="{_LEFT - 6}" y="{y + _BAR}" text-anchor="end">{name[:28]}</text>'
        yield (
            f'<rect class="{task.row.status.lower()}" x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{_BAR}">'
            f"<title>{label}</title></rect>"
        )


def graph(waits: Mapping[str, tuple[str, ...]], states: Mapping[str, str]) -> str:
    """Draw the steps below those that they wait for; nothing where there are too many to see anything."""
    if not waits or len(waits) > MAX_BOXES:
        return ""
    levels: dict[str, int] = {}
    for name, after in waits.items():
        levels[name] = max((levels.get(before, 0) + 1 for before in after), default=0)
    rows: dict[int, list[str]] = {}
    for name, level in levels.items():
        rows.setdefault(level, []).append(name)
    places = {
        name: (column * (_BOX_WIDTH + _GAP_X) + 4, level * (_BOX_HEIGHT + _GAP_Y) + 4)
        for level, names in rows.items()
        for column, name in enumerate(names)
    }
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + 4
    height = max(y for _, y in places.values()) + _BOX_HEIGHT + 4
    parts = [*_edges(waits, places), *_boxes(places, states)]
    title = "<title>What each step waits for</title>"
    return f'<svg class="graph" role="img" width="{width}" viewBox="0 0 {width} {height}">{title}{"".join(parts)}</svg>'


def _edges(waits: Mapping[str, tuple[str, ...]], places: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for name, after in waits.items():
        for before in after:
            (x1, y1), (x2, y2) = places[before], places[name]
            yield (f'<line x1="{x1 + _BOX_WIDTH // 2}" y1="{y1 + _BOX_HEIGHT}" x2="{x2 + _BOX_WIDTH // 2}" y2="{y2}"/>')


def _boxes(places: Mapping[str, tuple[int, int]], states: Mapping[str, str]) -> Iterator[str]:
    for name, (x, y) in places.items():
        state = states.get(name, "PENDING")
        middle = x + _BOX_WIDTH // 2
        yield (
            f'<rect class="{state.lower()}" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5">'
            f"<title>{escape(name)}: {state}</title></rect>"
            f'<text class="inside" x="{middle}" y="{y + 18}" text-anchor="middle">{escape(name[:22])}</text>'
        )
