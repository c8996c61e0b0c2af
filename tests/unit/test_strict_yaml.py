"""Strict YAML: what each text means, what is refused, and that all of it is refused at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.jsonsafe import JsonValue, check_json_safe
from orchestrator.sources import Source
from orchestrator.strict_yaml import core_value, parse, scan

PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(PLAIN, max_size=20),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(PLAIN, max_size=8), parts, max_size=4),
    max_leaves=12,
)


def value_of(text: str) -> JsonValue:
    """Parse text that is in order."""
    return parse(Source.from_text("r.yaml", text))


def problems_of(text: str) -> tuple[Problem, ...]:
    """Give the problems of text that is not in order."""
    with pytest.raises(InvalidFileError) as caught:
        parse(Source.from_text("r.yaml", text))
    return caught.value.problems


def told(text: str) -> list[tuple[str, str, str]]:
    """Give code, place and message of each problem."""
    return [(problem.code, str(problem.place), problem.message) for problem in problems_of(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("12", 12),
        ("+5", 5),
        ("-0", 0),
        ("012", 12),
        ("0o17", 15),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("12:00:00", "12:00:00"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("0b11", "0b11"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        (".", "."),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
        ("nothing", "nothing"),
        ("9007199254740991", 9007199254740991),
    ],
)
def test_plain_text_means_what_yaml_12_says(text: str, value: JsonValue) -> None:
    """Only null, true, false and numbers are special; all else is text."""
    result = core_value(text)

    assert (result, type(result)) == (value, type(value))


def test_quotes_make_text() -> None:
    """A quoted number or word is text, in either quotes and in a block."""
    assert value_of('["1", \'true\', "a\\tb"]') == ["1", "true", "a\tb"]
    assert value_of("a: |\n  1\n") == {"a": "1\n"}


def test_keys_are_taken_as_they_are_written() -> None:
    """A key is text, whatever its value would mean."""
    assert value_of("on: 1\n1: 2\n012: 3\n~: 4\ntrue: 5\n") == {"on": 1, "1": 2, "012": 3, "~": 4, "true": 5}


def test_both_styles_of_lists_and_mappings_nest() -> None:
    """Blocks and brackets give the same values."""
    assert value_of("a:\n- b: [1, {c: d}]\n- []\n- {}\n") == {"a": [{"b": [1, {"c": "d"}]}, [], {}]}


def test_an_alias_is_a_copy() -> None:
    """Changing what an alias gave leaves what it names as it was."""
    value = value_of("a: &x [1, &y {b: 2}]\nc: *x\nd: *y\n")

    assert value == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": {"b": 2}}
    assert isinstance(value, dict)
    value["c"][1]["b"] = 3
    assert (value["a"][1]["b"], value["d"]["b"]) == (2, 2)


def test_a_duplicate_key_names_the_first() -> None:
    """The second is marked and the line of the first is told."""
    assert told("a: 1\nb: 2\na: 3\n") == [("MS102", "r.yaml:3:1", "duplicate key 'a' (first at line 1)")]


def test_a_merge_key_is_refused_and_a_quoted_one_is_text() -> None:
    """Merging hides which value wins; the same text in quotes is an ordinary key."""
    assert told("<<: {a: 1}\n") == [("MS104", "r.yaml:1:1", "merge keys ('<<') are not used here")]
    assert value_of("'<<': 1") == {"<<": 1}


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!custom", "!!str", "!"])
@pytest.mark.parametrize("value", ["x", "[x]", "{x: y}"])
def test_tags_are_refused(tag: str, value: str) -> None:
    """No tag changes what a value is, not even a harmless one."""
    assert told(f"a: {tag} {value}") == [("MS104", "r.yaml:1:4", "explicit tags ('!') are not used here")]


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "{a: b}: 1\n", "x: &k y\n*k : 1\n"])
def test_keys_that_are_not_text_are_refused(text: str) -> None:
    """A list, a mapping or an alias is no key."""
    assert [problem.message for problem in problems_of(text)] == ["a key must be text"]


def test_a_missing_key_is_refused() -> None:
    """Nothing before a colon is a slip, not an empty name."""
    assert told("?\n: 1\n")[0][2] == "a key is missing before ':'"


def test_a_key_with_an_anchor_or_a_tag_is_refused() -> None:
    """Keys stand alone."""
    assert [message for _, _, message in told("&x a: 1\n!y b: 2\n")] == [
        "a key cannot have an anchor",
        "explicit tags ('!') are not used here",
    ]


@pytest.mark.parametrize("number", [".nan", ".NaN", "-.inf", ".INF", "1e400", "9" * 400])
def test_numbers_that_are_not_finite_are_refused(number: str) -> None:
    """JSON has no such number."""
    assert problems_of(f"a: {number}")[0].message.endswith("is not a finite number")


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "0x20000000000000", "1152921504606846976"])
def test_integers_that_json_rounds_are_refused(number: str) -> None:
    """Beyond 2^53 other programs would read another number."""
    assert told(f"a: {number}") == [
        ("MS105", "r.yaml:1:4", f"'{number}' is beyond ±(2^53-1), so JSON cannot keep it"),
    ]


@pytest.mark.parametrize(("escape", "name"), [("\\0", "U+0000"), ("\\e", "U+001B"), ("\\x7f", "U+007F")])
def test_escapes_of_control_characters_are_refused(escape: str, name: str) -> None:
    """Such a character does nothing good in a file name, a terminal or a command."""
    assert told(f'a: "x{escape}y"') == [("MS105", "r.yaml:1:4", f"the text holds the invisible character {name}")]


def test_tabs_and_line_ends_are_text() -> None:
    """Instruments speak in them."""
    assert value_of('a: "*IDN?\\r\\n\\t"') == {"a": "*IDN?\r\n\t"}


def test_a_lone_surrogate_is_refused() -> None:
    """Half a character is no character."""
    assert told('a: "\\ud800"') == [("MS105", "r.yaml:1:7", "the escape names no character")]


def test_control_characters_in_the_file_are_refused_and_reading_goes_on() -> None:
    """The characters are reported with whatever else is wrong."""
    assert told("a: x\x07y\nb: .nan\n") == [
        ("MS105", "r.yaml:1:5", "the file holds the invisible character U+0007"),
        ("MS105", "r.yaml:2:4", "'.nan' is not a finite number"),
    ]


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\u2066", "\u00ad"])
def test_keys_with_invisible_characters_are_refused(hidden: str) -> None:
    """Two keys that look alike are alike."""
    assert problems_of(f"a{hidden}b: 1")[0].message.endswith(f"holds the invisible character U+{ord(hidden):04X}")


def test_letters_of_any_language_are_keys() -> None:
    """Only what cannot be seen is refused."""
    assert value_of("température: 1\n温度: 2\n") == {"température": 1, "温度": 2}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    """Nothing to read is said plainly."""
    assert told(text)[0][0::2] == ("MS108", "the file is empty")


def test_a_second_document_is_refused() -> None:
    """One file is one document."""
    assert told("a: 1\n---\nb: 2\n") == [("MS104", "r.yaml:2:1", "a second document begins here")]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("\ta: 1", "r.yaml:1:1", "a tab cannot stand here"),
        ("a:\n\tb: 1", "r.yaml:2:1", "a tab cannot stand here"),
        ("a: b: c", "r.yaml:1:5", "a ':' cannot stand here"),
        ("a: @b", "r.yaml:1:4", "'@' cannot begin a value"),
        ('a: "x', "r.yaml:1:4", "the quote that opens at line 1 is never closed"),
        ("a: [1, 2\nb: 3", "r.yaml:2:2", "expected ',' or ']' in the list that begins at line 1"),
        ("a: {b: ${{ x }}}", "r.yaml:1:9", "expected ',' or '}' in the mapping that begins at line 1"),
        ("a: [*.log]", "r.yaml:1:5", "'*' and '&' cannot begin plain text"),
        ("- a\nb: c", "r.yaml:2:1", "expected '- '"),
        ("a: 1\n- b", "r.yaml:2:1", "expected a key"),
        ("a: - b", "r.yaml:1:4", "a list cannot begin here"),
        ('a: "\\q"', "r.yaml:1:5", "unknown escape in double quotes"),
    ],
)
def test_bad_syntax_is_told_in_plain_words(text: str, place: str, message: str) -> None:
    """The parser's own words are for people who know its insides."""
    assert told(text) == [("MS103", place, message)]


def test_an_alias_inside_what_it_names_is_refused() -> None:
    """Such a value would never end."""
    assert told("a: &x {b: *x}") == [("MS104", "r.yaml:1:11", "alias '*x' stands inside what it names")]


def test_an_alias_without_an_anchor_is_refused() -> None:
    """Text that begins with a star needs quotes, and the help says so."""
    (problem,) = problems_of("a: *x")

    assert problem.message == "alias '*x' names no anchor above it"
    assert problem.help == "write the value out, or put the text in quotes"


def test_an_anchor_is_defined_once() -> None:
    """Two anchors of one name make every alias a riddle."""
    assert told("a: &x 1\nb: &x 2\n") == [("MS104", "r.yaml:2:4", "anchor '&x' is defined twice")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("- " * 100_000, "nested deeper than 64 levels"),
        ("a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*x" + "]" * 40, "nested deeper than 64 levels"),
        ("a: &x 1\nb: [" + "*x," * 1_001 + "]", "more than 1000 aliases"),
        ("".join(f"a{n}: &x{n} 1\n" for n in range(1_001)), "more than 1000 anchors"),
        ("a: &x [" + "1," * 700 + "]\nb: [" + "*x," * 900 + "]", "more than 600000 values"),
        ("- " + "x,\n- " * 600_001, "more than 600000 values"),
    ],
    ids=["brackets", "dashes", "depth by aliases", "aliases", "anchors", "expansion", "nodes"],
)
def test_limits_are_kept(text: str, message: str) -> None:
    """A file that would take all memory is refused as soon as a limit is reached."""
    assert told(text)[-1][0::2] == ("MS109", message)


def test_64_levels_are_allowed() -> None:
    """The limit is what it says."""
    assert value_of("[" * 64 + "]" * 64)


def test_all_problems_are_told_at_once_in_file_order() -> None:
    """One look at the messages is enough to mend the file."""
    text = "a: .nan\nb: !x 1\na: 2\n<<: 3\nc: *y\nd: {? [q] : 1}\n"

    assert [problem.place.line for problem in problems_of(text) if problem.place] == [1, 2, 3, 4, 5, 6]


def test_reading_ends_after_a_thousand_problems() -> None:
    """What was generated wrongly is wrong in one way, and told often enough."""
    problems = problems_of("- .nan\n" * 5_000)

    assert len(problems) == 1_000
    assert problems[-1].message == "reading ends here, after so many problems"


def test_a_scan_keeps_what_is_right() -> None:
    """Other checks go on with the value, where what was refused is null or left out."""
    reading = scan(Source.from_text("r.yaml", "a: 1\na: 2\nb: .nan\n<<: 3\n"))

    assert (reading.value, reading.whole, len(reading.problems)) == ({"a": 1, "b": None}, True, 3)


def test_a_scan_says_when_it_had_to_stop() -> None:
    """A syntax error leaves no value to judge."""
    reading = scan(Source.from_text("r.yaml", "a: 1\nb: ["))

    assert (reading.value, reading.whole) == (None, False)


@settings(max_examples=60)
@given(JSON_VALUES)
def test_json_is_read_as_json(value: JsonValue) -> None:
    """Every JSON document is a YAML document with the same meaning."""
    assert value_of(json.dumps(value, ensure_ascii=False)) == value


@settings(max_examples=60)
@given(st.text(st.sampled_from("ab1.:-?&*!|>'\"%@`{}[],#<\\ \t\n\0\x7fé\u200b"), max_size=40))
def test_any_text_gives_a_json_value_or_problems(text: str) -> None:
    """No file makes the reader fail in another way."""
    reading = scan(Source.from_text("r.yaml", text))

    check_json_safe(None if reading.problems else reading.value)
