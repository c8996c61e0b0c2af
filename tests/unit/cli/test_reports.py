"""A report tells what was recorded: to people as a page, to test servers as JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from orchestrator.reports.junit import junit_xml
from orchestrator.reports.page import page_of
from orchestrator.reports.pictures import MAX_BARS, graph, timeline
from orchestrator.reports.records import RunRecord, plain, read_record
from orchestrator.steering import cancel_run
from orchestrator.store.database import reading
from tests.unit.cli.program import Answer
from tests.unit.workshop import Ran, Workshop, python, recipe, shell

Call = Callable[..., Answer]

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m ]]> & \"quoted\" 'too' \x00 \x07"
LOUD = "printf '%s' \"$TEXT\" >&2; exit 3"
VOID = {"meta", "br", "line", "rect"}


def record_of(ran: Ran, *, log_cap: int = 10_000, log_budget: int = 100_000) -> RunRecord:
    """Read what a report of a run is made from."""
    with reading(ran.root) as database:
        return read_record(database, log_cap=log_cap, log_budget=log_budget)


@pytest.fixture(name="mixed")
def _mixed(workshop: Workshop) -> Ran:
    """Run a recipe of which steps succeed, are tried again, fail, are skipped and blocked."""
    steps = (
        python("good", keys="args: {a.x_v1: [1, 2]}"),
        python("flaky", "FailFirst", "args: {times: 1}, retry: {max: 1}"),
        python("skipped", keys='when: "1 > 2"'),
        shell("bad", LOUD, "env: {TEXT: '${{ inputs.text }}'}"),
        python("blocked"),
    )
    head = "inputs: {text: {type: string}}\ntest_meta: {test_id: MIX-1}\n"
    return workshop.run(recipe(*steps, head=head), inputs={"text": HOSTILE.replace("\x00", "")}, inline=False)


def test_junit_has_a_case_for_each_task(mixed: Ran) -> None:
    """With what became of it; blocked ones count as skipped."""
    suite = ET.fromstring(junit_xml(record_of(mixed)))[0]  # noqa: S314  our own text

    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "0", "skipped": "2"}
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["good", "flaky", "skipped", "bad", "blocked"]
    assert [name for name, case in cases.items() if case.find("skipped") is not None] == ["skipped", "blocked"]
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("the exit code is 3, not 0; last stderr line: ")
    assert "<script>alert(1)</script> red ]]>" in str(failure.text)
    assert "\\x07" in str(failure.text)
    attempts = cases["flaky"].find("properties/property")
    assert attempts is not None
    assert attempts.get("value") == "FAILED, COMPLETED"
    assert {p.get("name") for p in suite.findall("properties/property")} == {
        "run_id",
        "workspace",
        "status",
        "recipe_sha256",
    }


class Page(HTMLParser):
    """Reads a page and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that is open."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.text += data


def test_a_page_shows_the_run(mixed: Ran) -> None:
    """Its outcome, what failed with what it printed, every task, logs and values."""
    page = Page(page_of(record_of(mixed)))

    assert page.open == []
    headings = ["What failed", "Timeline", "Steps", "Tasks", "Logs", "Values"]
    assert [heading for heading in headings if heading not in page.text] == []
    for text in (mixed.root.name, "the exit code is 3, not 0", "needs bad", "a.x_v1", "[1,2]", "1 blocked"):
        assert text in page.text
    assert "<script>alert(1)</script> red ]]>" in page.text


def test_a_page_fetches_and_runs_nothing(mixed: Ran) -> None:
    """What a step printed is text, whatever it looks like."""
    text = page_of(record_of(mixed))
    page = Page(text)

    assert "script" not in page.tags
    assert [name for name, _ in page.attributes if name in {"src", "href"} or name.startswith("on")] == []
    assert re.search(r"https?://|@import|url\(", text) is None
    assert "default-src 'none'" in text


def test_pictures_name_what_they_show(mixed: Ran) -> None:
    """For those who do not see them."""
    record = record_of(mixed)
    states = {task.row.step: str(task.row.status) for task in record.tasks}

    drawn = timeline(record.tasks)
    assert drawn.count("<rect") == 3
    assert "<title>flaky: COMPLETED, " in drawn
    picture = graph(record.waits, states)
    assert picture.count("<rect") == 5
    assert picture.count("<line") == 4
    assert "<title>bad: FAILED</title>" in picture


def test_many_tasks_are_drawn_in_part(workshop: Workshop) -> None:
    """The longest of them, and a word about it."""
    record = record_of(workshop.run(recipe(python("each", keys="foreach: '${{ range(401) }}'"))))

    drawn = timeline(record.tasks)

    assert drawn.count("<rect") == MAX_BARS
    assert "The 400 longest of 401 tasks." in drawn


def test_logs_are_cut_to_what_there_is_room_for(workshop: Workshop) -> None:
    """The tail of each, and no more than the budget in all."""
    step = 'i=0; while [ $i -lt 200 ]; do echo line $i >&2; i=$((i+1)); done; echo \'{"status": "ok"}\''
    ran = workshop.run(recipe(shell("a", step), shell("b", step)), inline=False)

    record = record_of(ran, log_cap=100, log_budget=150)

    logs = [task.last.stderr for task in record.tasks if task.last]
    assert logs[0].endswith("line 199\n")
    assert [len(log) for log in logs] == [100, 0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[1;31mb\x1b[0mc", "abc"),
        ("\x1b]0;title\x07x", "x"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("über 日本", "über 日本"),
    ],
)
def test_a_report_holds_no_terminal_codes(text: str, shown: str) -> None:
    """They are left out, or shown as numbers."""
    assert plain(text) == shown


def test_a_report_is_written_into_the_run(call: Call, mixed: Ran) -> None:
    """Or where it is asked for; its path is what the command prints."""
    assert call("report", "@last").stdout.strip() == str(mixed.root / "report.html")
    assert call("report", "@last", "--format", "junit", "--out", "out/j.xml").stdout.strip() == "out/j.xml"
    assert (mixed.root / "report.html").read_text().startswith("<!doctype html>")
    assert Path("out/j.xml").read_text().startswith("<?xml")


def test_a_run_writes_its_reports_at_its_end(call: Call, workshop: Workshop) -> None:
    """Also when it failed."""
    workshop.write("r.yaml", recipe(python("a", "Fail")))

    answer = call("run", "r.yaml", "--html", "page.html", "--junit", "j.xml", "--isolation", "inline")

    assert answer.status == 1
    assert "FAILED" in Path("page.html").read_text()
    assert 'failures="1"' in Path("j.xml").read_text()


def test_junit_of_a_run_that_is_at_fault_itself_has_an_error(workshop: Workshop) -> None:
    """No step failed, and a test server must not show it as good."""
    ran = workshop.run(recipe(shell("a", 'echo \'{"status": "ok"}\''), head="outputs: {x: ctx.a.n_v1}\n"), inline=False)

    suite = ET.fromstring(junit_xml(record_of(ran))).find("testsuite")  # noqa: S314  we wrote it
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "1")


@pytest.mark.parametrize("target", [".", "steps.py/x.xml"])
def test_a_report_that_cannot_be_written_begins_no_run(call: Call, workshop: Workshop, target: str) -> None:
    """It would be known only at the end."""
    workshop.write("r.yaml", recipe(python("a")))

    answer = call("run", "r.yaml", "--junit", target)

    assert (answer.status, workshop.runs()) == (2, [])
    assert answer.json["reason"] == f"no report can be written at {target}"


def test_junit_does_not_count_what_has_not_ended_as_good(workshop: Workshop) -> None:
    """A question that waits is neither."""
    ran = workshop.run(recipe("{name: q, type: human, instructions: Is it so?}"), inline=False, once=True)

    suite = ET.fromstring(junit_xml(record_of(ran))).find("testsuite")  # noqa: S314  we wrote it
    assert suite is not None
    assert (suite.get("tests"), suite.get("skipped")) == ("1", "1")


def test_a_cancelled_run_is_no_good_run_for_a_test_server(workshop: Workshop) -> None:
    """It has an error of its own, since none of its steps failed; the page shows its state."""
    ran = workshop.run(recipe(python("a"), python("b")), break_at=("b",))
    cancel_run(ran.root, reason="too hot")

    suite = ET.fromstring(junit_xml(record_of(ran)))[0]  # noqa: S314  our own text

    error = suite.find("testcase/error")
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "1")
    assert error is not None
    assert str(error.get("message")).endswith(": too hot")
    assert '<span class="state cancelled">CANCELLED</span>' in page_of(record_of(ran))
