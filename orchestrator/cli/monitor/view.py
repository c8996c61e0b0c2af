"""Draw what was read as lines of text, whatever it holds and however small the window is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from orchestrator.cli.monitor.reading import FINDINGS, OperatorLine, RunGlance, RunLine
from orchestrator.cli.output import harmless, seconds
from orchestrator.clock import seconds_between
from orchestrator.states import ENDED_TASKS, RunState, TaskState
from orchestrator.store.glances import Order, TaskLine

_STYLES: Mapping[str, str] = {
    "COMPLETED": "green",
    "FAILED": "bold red",
    "RUNNING": "cyan",
    "WAITING_EXTERNAL": "bold yellow",
    "PAUSED": "yellow",
    "BLOCKED": "yellow",
    "CANCELLED": "magenta",
    "PENDING": "",
    "SKIPPED": "dim",
}
_CHOSEN = "reverse"
_GAP = 2
_STATE_WIDTH = 9
_TRIES_WIDTH = 5
_TIME_WIDTH = 7
_WHEN_WIDTH = 19
_HEADER, _FOOTER, _TITLE = 2, 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Heights:
    """How many lines each part of a run's screen has, without its title; a part with none has no title either."""

    tasks: int
    operators: int
    frontier: int
    log: int


def heights(height: int, wants: Heights) -> Heights:
    """Share the lines of a window among the parts: first some for each by its importance, then the rest."""
    left = height - _HEADER - _FOOTER
    firsts = {"tasks": max(3, left // 3), "frontier": max(4, left // 6), "log": max(3, left // 6), "operators": 3}
    found = dict.fromkeys(firsts, 0)
    for name, most in firsts.items():
        if getattr(wants, name) and left > _TITLE:
            found[name] = min(getattr(wants, name), most, left - _TITLE)
            left -= found[name] + _TITLE
    for name in ("tasks", "frontier", "operators", "log"):
        more = min(left, getattr(wants, name) - found[name]) if found[name] else 0
        found[name] += more
        left -= more
    return Heights(**found)


def wanted_heights(glance: RunGlance, total: int) -> Heights:
    """Give how many lines each part of a run would fill; ``total`` is how many tasks there are to show."""
    return Heights(
        tasks=max(total, 1),
        operators=len(glance.operators),
        frontier=min(len(glance.findings), 2 * FINDINGS),
        log=len(glance.log),
    )


def run_screen(glance: RunGlance, parts: Heights, *, width: int, now: str) -> list[Text]:
    """Draw a run: its header, its tasks, its operators, what keeps it from its end, and the log of the chosen task."""
    lines = _header(glance, width, now)
    shown = f"{glance.choice.first + 1}-{glance.choice.first + len(glance.rows)} of {len(glance.positions)}"
    order = "loud first" if glance.choice.order is Order.LOUD_FIRST else "as planned"
    kept_back = "" if glance.choice.with_items or not glance.items else ", without quiet items"
    lines += [_title(f"tasks {shown}, {order}{kept_back}", width), *_tasks(glance, width, now)[: parts.tasks]]
    if parts.operators:
        lines += [_title("operators", width), *_operators(glance.operators, width)[: parts.operators]]
    if parts.frontier:
        lines += [_title("frontier", width), *_frontier(glance.findings, width, parts.frontier)]
    if parts.log:
        name = glance.selected.task_id if glance.selected else ""
        lines += [_title(f"log of {name}", width), *plain(glance.log[-parts.log :], width)]
    return lines


def runs_screen(lines: Sequence[RunLine], index: int, first: int, *, width: int, height: int, now: str) -> list[Text]:
    """Draw the list of all runs; that at ``index`` is chosen."""
    active = sum(line.is_active for line in lines)
    head = _fit(f"{len(lines)} run{'' if len(lines) == 1 else 's'}, {active} active", width, "bold")
    widths = _shares(width, (2, 24, _STATE_WIDTH, 11, _TIME_WIDTH + 1))
    names = _row(("", "run", "state", "tasks", "took", "recipe, workspace"), widths, style="dim")
    shown = lines[first : first + height - 2]
    return [head, names, *(_run_row(line, widths, now, at == index) for at, line in enumerate(shown, first))]


def plain(texts: Iterable[str], width: int) -> list[Text]:
    """Draw lines as they are, cut at the edge of the window."""
    return [_fit(text, width) for text in texts]


def folded(texts: Iterable[str], width: int) -> list[Text]:
    """Draw lines, each on as many lines of the window as it needs."""
    return [_fit(part, width) for text in texts for part in _parts(harmless(text.expandtabs()), max(width, 2))]


def footer(text: str, width: int, *, is_loud: bool = False) -> Text:
    """Draw the last line of the window."""
    return _fit(text, width, "bold yellow" if is_loud else "dim")


def _header(glance: RunGlance, width: int, now: str) -> list[Text]:
    run = glance.run
    name = f"{run.run_id}  {run.recipe_name}  {run.workspace_slug}"
    second = Text(no_wrap=True)
    second.append(run.status.value, _STYLES[run.status])
    second.append(f"{_driving(glance)}  {_elapsed(run.created_at, run.ended_at or now)}  {_counted(glance.counts)}")
    if run.status_reason:
        second.append(f"  {_flat(run.status_reason)}", "dim")
    second.truncate(width, overflow="ellipsis")
    return [_fit(name, width, "bold"), second]


def _driving(glance: RunGlance) -> str:
    if glance.driven:
        return ", driven"
    return ", runner stopped" if glance.run.status in (RunState.PENDING, RunState.RUNNING) else ""


def _counted(counts: Mapping[TaskState, int]) -> str:
    done = sum(count for state, count in counts.items() if state in ENDED_TASKS)
    each = ", ".join(f"{count} {_word(state)}" for state, count in counts.items())
    return f"{done}/{sum(counts.values())}: {each}"


def _tasks(glance: RunGlance, width: int, now: str) -> list[Text]:
    longest = max((cell_len(_flat(row.task_id)) for row in glance.rows), default=0)
    keys = max((cell_len(row.operator_key or "") for row in glance.rows), default=0)
    fixed = (2, min(max(longest, 8), width // 3), _STATE_WIDTH, _TRIES_WIDTH, min(keys, width // 5), _TIME_WIDTH)
    widths = _shares(width, fixed)
    return [_task_row(row, glance, widths, now) for row in glance.rows] or [_fit("no tasks yet", width, "dim")]


def _task_row(row: TaskLine, glance: RunGlance, widths: Sequence[int], now: str) -> Text:
    is_chosen = row.position == glance.choice.position
    tries = f"#{row.attempt_count}" if row.attempt_count else ""
    items = glance.items.get(row.position, {})
    why = row.status_reason or (f"items: {_counted(items)}" if items else "")
    took = seconds(_took(row, now))
    cells = ("> " if is_chosen else "", row.task_id, _word(row.status), tries, row.operator_key or "", took, why)
    return _row(cells, widths, style=_CHOSEN if is_chosen else "", styles={2: _STYLES[row.status]})


def _took(row: TaskLine, now: str) -> float | None:
    """Give how long the latest attempt took, or has been under way."""
    is_under_way = row.status in (TaskState.RUNNING, TaskState.WAITING_EXTERNAL)
    if is_under_way and row.started_at:
        return max(0.0, seconds_between(row.started_at, now))
    return row.duration_sec


def _operators(operators: Iterable[OperatorLine], width: int) -> list[Text]:
    return [_fit(_operator(line), width, "" if line.running or line.waiting else "dim") for line in operators]


def _operator(line: OperatorLine) -> str:
    most = f", at most {line.max_concurrent} at once" if line.max_concurrent is not None else ""
    kind = f" ({line.kind})" if line.kind != line.key else ""
    return f"  {line.key}{kind}: {line.running} running, {line.waiting} waiting{most}"


def _frontier(findings: Sequence[str], width: int, height: int) -> list[Text]:
    """Draw what keeps the run from its end; what does not fit is counted, and what to do stays."""
    shown = list(findings)
    if len(shown) > height:
        last = shown[-1:] if shown[-1].startswith("=") and height > 1 else []
        kept = max(height - len(last) - 1, 0)
        shown = [*shown[:kept], f"and {len(shown) - kept - len(last)} more", *last]
    return [_fit(f"  {text}", width) for text in shown]


def _run_row(line: RunLine, widths: Sequence[int], now: str, is_chosen: bool) -> Text:  # noqa: FBT001  drawn so or not
    mark, style = ("> ", _CHOSEN) if is_chosen else ("", "")
    run = line.run
    if run is None:
        state = "unreadable" if line.fault else "…"
        return _row((mark, line.root.name, state, "", "", line.fault), widths, style=style)
    counts = line.counts or {}
    done = sum(count for state, count in counts.items() if state in ENDED_TASKS)
    is_left = run.status in (RunState.PENDING, RunState.RUNNING) and not line.driven
    state = "stopped" if is_left else _word(run.status)
    took = _elapsed(run.created_at, run.ended_at or now) if run.ended_at or line.is_active else ""
    cells = (
        mark,
        run.run_id,
        state,
        f"{done}/{sum(counts.values())}",
        took,
        f"{run.recipe_name}  {run.workspace_slug}",
    )
    return _row(cells, widths, style=style, styles={2: _STYLES[run.status]})


def _elapsed(start: str, end: str) -> str:
    return seconds(max(0.0, round(seconds_between(start, end)))).replace(".00s", "s")


def _word(state: RunState | TaskState) -> str:
    return "waiting" if state is TaskState.WAITING_EXTERNAL else state.value.lower()


def _title(text: str, width: int) -> Text:
    line = Text(f"── {_flat(text)} ", style="dim", no_wrap=True)
    line.append("─" * max(0, width - line.cell_len))
    line.truncate(width, overflow="ellipsis")
    return line


def _shares(width: int, fixed: Sequence[int]) -> list[int]:
    """Give the widths of columns: the fixed ones, as far as there is room, and what they leave for the last."""
    left, shares = width, []
    for at, wanted in enumerate(fixed):
        share = min(wanted, max(left, 0))
        shares.append(share)
        left -= share + (_GAP if at and share else 0)
    return [*shares, max(left, 0)]


def _row(
    cells: Sequence[str], widths: Sequence[int], *, style: str = "", styles: Mapping[int, str] | None = None
) -> Text:
    """Draw the cells of a row, each in the width of its column; the first is a mark with no gap behind it."""
    line = Text(style=style, no_wrap=True)
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        line.append_text(_fit(cell, width, (styles or {}).get(at, ""), pads=True))
        line.append(" " * (_GAP if at and width and any(widths[at + 1 :]) else 0))
    return line


def _fit(text: str, width: int, style: str = "", *, pads: bool = False) -> Text:
    """Draw a text on one line that is no wider than so many columns."""
    line = Text(_flat(text) if width > 0 else "", style=style, no_wrap=True)
    line.truncate(max(width, 0), overflow="ellipsis", pad=pads)
    return line


def _flat(text: str) -> str:
    return harmless(text.replace("\t", " ").replace("\n", " "))


def _parts(text: str, width: int) -> list[str]:
    """Cut a text into parts that are no wider than so many columns."""
    if text.isascii() and "\n" not in text:
        return [text[at : at + width] for at in range(0, max(len(text), 1), width)]
    parts, part, used = [], "", 0
    for letter in text:
        room = cell_len(letter)
        if used + room > width or letter == "\n":
            parts.append(part)
            part, used = "", 0
        if letter != "\n":
            part, used = part + letter, used + room
    return [*parts, part]
