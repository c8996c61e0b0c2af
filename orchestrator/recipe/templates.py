"""Check every expression of a recipe where it stands, and refuse one where none is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress, islice, product

from orchestrator.errors import ExpressionError, Place, Problem
from orchestrator.expressions import NAMES, KnownNames, check_syntax, check_template, expressions_in
from orchestrator.jsonsafe import JsonValue
from orchestrator.recipe.model import STEP_LISTS
from orchestrator.recipe.words import closest, shown
from orchestrator.selecting import is_selector
from orchestrator.sources import MAX_PROBLEMS, DocPath, Source

Check = Callable[[str, KnownNames], None]
Rules = Mapping[str, "Check | Rules"]
_Part = tuple[JsonValue, DocPath, "Check | Rules"]

ANY_KEY = "*"

_OPENING = "${{"
_STEP_DEPTH = 2
_ABSENT = {
    present: frozenset({"item", "result", "secrets"} - set(compress(("item", "result", "secrets"), present)))
    for present in product((False, True), repeat=3)
}


def _free(_: str, __: KnownNames) -> None:
    """Take any text: it is for people."""


def _literal(text: str, _: KnownNames) -> None:
    if _OPENING in text:
        hint = "write the value itself; a step's values go in by 'args' or 'env'"
        raise ExpressionError("no expression is evaluated here", hint=hint)


def _whole(text: str, known: KnownNames) -> None:
    stripped = text.strip()
    if not (stripped.startswith(_OPENING) and stripped.endswith("}}")):
        raise ExpressionError(f"expected one expression, got {shown(text)}", hint="write '${{ … }}', or a list")
    check_template(text, known)


def _bare_or_selector(text: str, known: KnownNames) -> None:
    if not is_selector(text):
        check_syntax(text, known)


# Those that find nothing in a text that opens no expression.
_SEES_OPENINGS = frozenset({_free, _literal, check_template})

STEP_RULES: Rules = {
    **dict.fromkeys(("idx", "name", "type", "tags", "depends_on", "parallel", "operator_key"), _literal),
    **dict.fromkeys(
        ("allow_failure", "allow_dependency_failure", "locks", "timeout", "retry", "needs", "resources", "on_walltime"),
        _literal,
    ),
    **dict.fromkeys(("module", "function", "isolation", "run", "script", "stdout", "uses"), _literal),
    **dict.fromkeys(("response_schema", "approvals", "deadline", "result_schema"), _literal),
    **dict.fromkeys(("args", "env", "files", "fetch", "cache_key", "instructions", "config"), check_template),
    "description": _free,
    "when": check_syntax,
    "foreach": _whole,
    "tasks": _whole,
    "matrix": _whole,
    "save": _bare_or_selector,
    "success": {
        **dict.fromkeys(("ctx_has_keys", "json_schema", "exit_code"), _literal),
        "expect": check_syntax,
        "files_exist": check_template,
    },
    "cache": {"files": check_template, "ctx": _literal, "env": _literal},
}
RULES: Rules = {
    **dict.fromkeys(("schema", "workspace", "tags", "secrets", "timeout", "max_parallel", "isolation"), _literal),
    **dict.fromkeys(("on_conflict", "budget", "pytest"), _literal),
    **dict.fromkeys(("description", "license", "test_meta"), _free),
    **dict.fromkeys(STEP_LISTS, STEP_RULES),
    "inputs": {
        ANY_KEY: {
            **dict.fromkeys(("type", "default", "minimum", "maximum", "choices"), _literal),
            "description": _free,
        }
    },
    "vars": check_template,
    "defaults": {
        **dict.fromkeys(("timeout", "retry", "resources", "isolation"), _literal),
        "env": check_template,
    },
    "outputs": check_syntax,
    "repeat": {"until": check_syntax, "max": _literal},
}


def expression_problems(document: JsonValue, source: Source) -> list[Problem]:
    """Give the problems of all expressions in the value of a recipe file, at the character where each goes wrong."""
    known = _known_names(document)
    known_without = {
        absent: {name: names for name, names in known.items() if name not in absent} for absent in _ABSENT.values()
    }
    found = (
        _problem(text, path, check, known_without[_absent_at(path, document)], source)
        for text, path, check in _texts(document)
    )
    return list(islice((problem for problem in found if problem is not None), MAX_PROBLEMS))


def expressions(document: JsonValue) -> Iterator[tuple[str, DocPath]]:
    """Give every expression of a recipe in which all can be read, with the path of the value that holds it."""
    for text, path, check in _texts(document):
        if check is check_syntax or (check is _bare_or_selector and not is_selector(text)):
            yield text, path
        elif check in {check_template, _whole}:
            yield from ((part, path) for part in expressions_in(text))


def _known_names(document: JsonValue) -> KnownNames:
    """Give what expressions may name, and below a root what the recipe declares, as far as it does so rightly."""
    sections = document if isinstance(document, dict) else {}
    declared = {root: _meant(root, sections, RULES, {}) for root in ("inputs", "vars", "secrets")}
    steps = [step for name in STEP_LISTS for step in _list(sections.get(name))]
    names = {step["name"] for step in steps if isinstance(step, dict) and isinstance(step.get("name"), str)}
    listed = {root: value if isinstance(value, dict) else None for root, value in declared.items()}
    return {**dict.fromkeys(NAMES), **listed, "steps": names}


def _absent_at(path: DocPath, document: JsonValue) -> frozenset[str]:
    """Give the names that mean nothing at a place.

    There is no ``item`` without a fan-out and no ``result`` before there is one; ``secrets`` go by ``env`` alone.
    """
    step = _step_at(path, document)
    key = path[_STEP_DEPTH : _STEP_DEPTH + 1] if step is not None else path[:_STEP_DEPTH]
    has_item = step is not None and _fans_out(step) and key not in {("foreach",), ("matrix",)}
    has_result = key in {("success",), ("save",)}
    has_secrets = key in {("env",), ("defaults", "env")}
    return _ABSENT[has_item, has_result, has_secrets]


def _fans_out(step: Mapping[str, JsonValue]) -> bool:
    """Tell whether a step is meant to fan out, also by a misspelt key, which is told of elsewhere."""
    return any(_meant(key, step, STEP_RULES, None) is not None for key in ("foreach", "matrix"))


def _meant(key: str, part: Mapping[str, JsonValue], rules: Rules, otherwise: JsonValue) -> JsonValue:
    """Give the value of a key, or of one that the language does not have and that was probably meant for it."""
    if key in part:
        return part[key]
    unknown = part.keys() - rules.keys()
    return next((part[name] for name in sorted(unknown) if closest(name, rules) == key), otherwise)


def _step_at(path: DocPath, document: JsonValue) -> dict[str, JsonValue] | None:
    if len(path) < _STEP_DEPTH or path[0] not in STEP_LISTS or not isinstance(document, dict):
        return None
    step = document[str(path[0])][path[1]]
    return step if isinstance(step, dict) else None


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _texts(document: JsonValue) -> Iterator[tuple[str, DocPath, Check | None]]:
    """Give each text of the document with its path and what checks it; a key that holds an expression has no check."""
    stack: list[_Part] = [(document, (), RULES)]
    while stack:
        value, path, rule = stack.pop()
        if isinstance(value, dict):
            yield from ((key, (*path, key), None) for key in value if _OPENING in key)
        if isinstance(value, str) and callable(rule) and (_OPENING in value or rule not in _SEES_OPENINGS):
            yield value, path, rule
        stack.extend(_parts(value, path, rule))


def _parts(value: JsonValue, path: DocPath, rule: Check | Rules) -> Iterable[_Part]:
    """Give the parts of a list or mapping, last first, since the last one given is looked at first."""
    if isinstance(value, dict):
        return [(part, (*path, key), _below(rule, key)) for key, part in reversed(value.items())]
    if isinstance(value, list):
        inner = check_template if rule is _whole else rule
        return [(value[index], (*path, index), inner) for index in reversed(range(len(value)))]
    return ()


def _below(rule: Check | Rules, key: str) -> Check | Rules:
    """Give what checks the value of a key; nothing that the language does not know, which the model reports."""
    return rule if callable(rule) else rule.get(key, rule.get(ANY_KEY, _free))


def _problem(text: str, path: DocPath, check: Check | None, known: KnownNames, source: Source) -> Problem | None:
    if check is None:
        place = source.place(path, of_key=True)
        return Problem("MS207", "no expression is evaluated in a key", place, "put the expression in the value")
    try:
        check(text, known)
    except ExpressionError as error:
        # A value that should be no expression, or only one, is wrong as a whole.
        place = source.place(path) if check in {_literal, _whole} else _place(text, path, error.offset, source)
        return Problem("MS207", error.message, place, error.hint)
    return None


def _place(text: str, path: DocPath, offset: int, source: Source) -> Place:
    """Give the place of one character of a value; of the whole value when quotes or folding changed its text."""
    start, end = source.span(path)
    inside = source.text[start:end].find(text)
    return source.at(start, end) if inside < 0 else source.at(start + inside + offset, start + inside + offset + 1)
