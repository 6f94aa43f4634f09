"""Things made when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from shipper.build.on_demand import OnDemand


def test_each_value_is_made_once_and_only_when_asked_for() -> None:
    """Looking at the names makes nothing."""
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    values = OnDemand({name: partial(make, name) for name in ("a", "b")})
    assert list(values) == ["a", "b"]
    assert len(values) == 2
    assert "a" in values
    assert "c" not in values
    assert made == []
    assert [values["b"], values["b"]] == ["B", "B"]
    assert made == ["b"]


def test_a_value_may_be_made_of_another() -> None:
    """As envelopes' schema is made of the others."""
    values: OnDemand[str] = OnDemand({"inner": lambda: "1", "outer": lambda: values["inner"] + "2"})
    assert values["outer"] == "12"


def test_threads_get_the_same_value() -> None:
    """Splits of one log type are begun by many threads at once."""
    values = OnDemand({"a": object})
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: id(values["a"]), range(64)))) == 1


def test_what_is_not_there_is_a_key_error() -> None:
    """As in any mapping."""
    with pytest.raises(KeyError):
        OnDemand[str]({})["a"]


def test_what_fails_to_be_made_is_tried_again() -> None:
    """Nothing half-made is kept."""
    failures = [ValueError("not now")]

    def make() -> str:
        if failures:
            raise failures.pop()
        return "made"

    values = OnDemand({"a": make})
    with pytest.raises(ValueError, match="not now"):
        values["a"]
    assert values["a"] == "made"


def test_shipping_one_log_type_does_not_read_the_modules_of_the_others() -> None:
    """What a short run does is mostly its start."""
    program = (
        "import sys\n"
        "from shipper.build.sinks import _schemas, _EcsDocuments\n"
        "from shipper.ports import Lookups\n"
        "_schemas(_EcsDocuments('default'), Lookups())['cloudtrail']\n"
        "print([name for name in sys.modules if name.startswith('shipper.schemas.ecs.rds')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
