"""What an expression reads is known without evaluating it."""

from __future__ import annotations

import pytest

from orchestrator.expressions import Read, reads


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ctx.a.b_v1.c > inputs.x", [Read("ctx", "a.b_v1.c"), Read("inputs", "x")]),
        ("ctx['a.b'].c", [Read("ctx", "a.b")]),
        ("has(ctx, 'a.b')", [Read("ctx", "a.b", asked=True)]),
        ("get(ctx, 'a.b', inputs.d)", [Read("ctx", "a.b", asked=True), Read("inputs", "d")]),
        ("get(item, 'x', secrets.y)", [Read("item", "x", asked=True), Read("secrets", "y")]),
        ("get(ctx.a.b, 'c', 1)", [Read("ctx", "a.b")]),
        ("ctx[inputs.key]", [Read("ctx", ""), Read("inputs", "key")]),
        ("inputs[vars.n].z", [Read("vars", "n"), Read("inputs", "")]),
        ("inputs['a'].b[0].c", [Read("inputs", "a.b.0.c")]),
        ("len(inputs)", [Read("inputs", "")]),
        ("sorted(vars.sites, reverse=inputs.down)", [Read("vars", "sites"), Read("inputs", "down")]),
        ("(ctx.a.b or vars).x", [Read("ctx", "a.b"), Read("vars", "")]),
        ("1 + 1", []),
    ],
)
def test_reads_are_listed(text: str, found: list[Read]) -> None:
    """With their roots and paths, as far as the text says them."""
    assert [read for read in reads(text) if read.root != "x"] == found
