"""What every look-up promises: whatever a record says, an answer at once, and never an exception."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.enrich.accounts import Accounts, AccountsFile
from shipper.enrich.aws_addresses import AwsAddresses
from shipper.enrich.background import Policy
from shipper.enrich.geo import Geo
from shipper.enrich.iam import IamPrincipals
from shipper.enrich.indicator_files import Source
from shipper.enrich.indicators import Indicators
from shipper.enrich.resources import ResourceTags
from shipper.enrich.tag_choice import TagChoice
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Resource
from shipper.ports import Stop
from tests.unit.test_addresses import RANGES
from tests.unit.test_geo import NESTED, write

LOOKUPS = ("geo", "addresses", "accounts file", "accounts", "resources", "principals", "indicators")
OVER_THE_NETWORK = ("accounts", "resources", "principals")
ODD = (
    "",
    "-",
    "10.0.0.1",
    "::1",
    "fe80::1%x",
    "1" * 12,
    "1" * 5_000,
    "AWS Internal",
    "a.amazonaws.com",
    "\0",
)
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=80), st.ip_addresses().map(str), st.from_regex(r"[0-9]{12}"))


class Closed:
    """A network that answers nothing until it is opened, and then refuses."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, _: Any) -> None:
        self.gate.wait(60)
        raise RetryableError("AccessDenied", paused=True)


class World:
    """Every look-up, over one network."""

    def __init__(self, folder: Path) -> None:
        write(folder / "city.mmdb", NESTED)
        (folder / "ranges.json").write_text(json.dumps(RANGES))
        (folder / "accounts.json").write_text(json.dumps({"1" * 12: "one"}))
        (folder / "bad.txt").write_text("10.0.0.0/8\n::/8\na.example\n")
        (folder / "agents.txt").write_text("aws*\nsqlmap\n")
        bad = [Source(folder / "bad.txt", "soc"), Source(folder / "agents.txt", "soc", "user_agent")]
        indicators = Indicators(bad)
        self.stop, self.metrics, self.network = Stop(), Metrics(), Closed()
        policy = Policy(most=20_000, requests_per_second=100_000.0)
        on = (self.network, self.metrics, self.stop, policy)
        self.resources, self.accounts = ResourceTags(*on, TagChoice()), Accounts(*on, TagChoice())
        self.principals = IamPrincipals(*on)
        self.lookups: dict[str, Callable[[str], Any]] = {
            "geo": Geo(folder / "city.mmdb", None, private=True),
            "addresses": AwsAddresses(folder / "ranges.json"),
            "accounts file": AccountsFile(folder / "accounts.json", TagChoice()),
            "accounts": self.accounts,
            "resources": lambda text: self.resources(Resource("bucket", text, text, text)),
            "principals": self.principals,
            "indicators": lambda text: (indicators.address(text), indicators.domain(text), indicators.agent(text)),
        }

    def denied(self, lookup: str) -> float:
        name, labels = "shipper_enrich_lookups_total", {"lookup": lookup, "outcome": "denied"}
        if lookup == "principals":
            name, labels = "shipper_iam_lookups_total", {"outcome": "denied"}
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("lookups"))
    yield made
    made.stop.request()
    made.network.gate.set()


@pytest.mark.parametrize("name", LOOKUPS)
@given(text=TEXTS)
@settings(deadline=None)
def test_any_text_has_an_answer_at_once(world, name, text):
    """The network is silent all the while: what would wait for it would not come back."""
    first = world.lookups[name](text)
    assert world.lookups[name](text) == first
    if name in OVER_THE_NETWORK:
        assert first is None


@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_refused_texts_of_any_form_end_no_look_up(tmp_path, name):
    """Whatever was asked for and refused, the next question is looked up too."""
    world = World(tmp_path)
    world.network.gate.set()
    try:
        asked = [*ODD, "a b c", "::::", "222222222222"]
        for text in asked:
            world.lookups[name](text)
        # Organizations is asked for ids of accounts alone.
        wanted = 2 if name == "accounts" else len(asked)
        deadline = time.monotonic() + 30
        while world.denied(name) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        world.stop.request()


def test_all_of_them_are_here(world):
    """Each look-up of addresses, accounts, resources, principals and indicators is held to it."""
    assert tuple(world.lookups) == LOOKUPS
