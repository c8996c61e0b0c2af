"""Operator keys have one canonical form; what older versions wrote stands for one."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.wiring.keys import canonical, complaint, key_of_attempt


@pytest.mark.parametrize("key", ["local.default", "hpc.a", "human.lab-2", "experiment.furnace_1", "hpc.site.gpu"])
def test_a_canonical_key_is_fine(key: str) -> None:
    """The first dot splits the kind from the name, which may have dots of its own."""
    assert (complaint(key), canonical(key)) == ("", key)


@pytest.mark.parametrize(
    "key",
    [
        *("", "hpc.", ".default", "hpc..a", "hpc.a.", "HPC.a", "hpc.A", "hpc. a", "hpc.a b", "cloud.a", "hpc.é"),
        *("hpc.-a", "hpc.a/b", f"hpc.{'a' * 65}", "hpc.a\n"),
    ],
)
def test_any_other_key_is_refused(key: str) -> None:
    """With what is wrong."""
    assert complaint(key)
    with pytest.raises(UsageError, match=r".") as caught:
        canonical(key)
    assert caught.value.code == "MS214"


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("HPC", "hpc.default"),
        ("Local", "local.default"),
        ("human", "human.default"),
        ("EXPERIMENT", "experiment.default"),
    ],
)
def test_older_names_stand_for_the_default(old: str, key: str) -> None:
    """Whatever their case."""
    assert canonical(old) == key


@pytest.mark.parametrize(
    ("operator_key", "operator_data", "operator_type", "key"),
    [
        ("hpc.a", {"operator_key": "hpc.b"}, "Local", "hpc.a"),
        (None, {"operator_key": "hpc.b"}, "Local", "hpc.b"),
        (None, {}, "Local", "local.default"),
        ("", {"operator_key": None}, "HPC", "hpc.default"),
        (None, {}, "Quantum", None),
        (None, {}, None, None),
    ],
)
def test_the_key_of_an_attempt_is_found_in_every_version(
    operator_key: str | None, operator_data: dict[str, Any], operator_type: str | None, key: str | None
) -> None:
    """Its own column first, then what the operator noted, then its older type."""
    assert key_of_attempt(operator_key, operator_data, operator_type) == key
