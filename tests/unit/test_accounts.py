"""What accounts, buckets and log groups are called: files, and look-ups in the background."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shipper import build, config
from shipper.commands.check import _enrich_files
from shipper.config import Enrich, Settings
from shipper.config.values import Surroundings
from shipper.enrich.accounts import AccountsFile
from shipper.enrich.tag_choice import TagChoice
from shipper.errors import ConfigError, RetryableError
from shipper.metrics import Metrics
from shipper.model import AccountFacts, Resource
from shipper.ports import Lookups, Stop
from tests.fakes.directory import ALL, BUCKET, DEV, GROUP, PROD, Bench, until

YAML = f"""
{PROD}: {{name: prod, organizational_unit: Root/Workloads/Production, tags: {{cost-center: "42", owner: alice}}}}
"{DEV}": dev
"""
LISTED = {
    "Accounts": [
        {
            "Id": PROD,
            "Name": "prod",
            "Arn": f"arn:aws:organizations::{DEV}:account/o-example/{PROD}",
            "Status": "ACTIVE",
        },
        {"Id": DEV, "Name": "dev", "Tags": [{"Key": "owner", "Value": "bob"}]},
    ]
}
CSV = f"id,name,ou,tag:owner\n{PROD},prod,Root/Workloads/Production,alice\n{DEV},dev,,\n"


def shown(facts: AccountFacts | None) -> tuple[Any, ...] | None:
    return None if facts is None else (facts.name, facts.organization, facts.unit, dict(facts.tags))


@pytest.mark.parametrize(
    ("name", "content", "prod", "dev"),
    [
        (
            "a.yaml",
            YAML,
            ("prod", None, "Root/Workloads/Production", {"cost-center": "42", "owner": "alice"}),
            ("dev", None, None, {}),
        ),
        ("a.json", json.dumps(LISTED), ("prod", "o-example", None, {}), ("dev", None, None, {"owner": "bob"})),
        (
            "a.csv",
            "\ufeff" + CSV,
            ("prod", None, "Root/Workloads/Production", {"owner": "alice"}),
            ("dev", None, None, {}),
        ),
        ("a.json", json.dumps({PROD: {"name": "prod"}, DEV: "dev"}), ("prod", None, None, {}), ("dev", None, None, {})),
        ("a.yml", f"- {{id: {PROD}, name: prod}}\n- {{account_id: '{DEV}'}}\n", ("prod", None, None, {}), (None,) * 3),
    ],
)
def test_files_of_every_form(tmp_path, name, content, prod, dev):
    """YAML, what AWS's command line prints, CSV; ids keep their leading zeros."""
    path = tmp_path / name
    path.write_text(content)
    accounts = AccountsFile(path, ALL)
    assert shown(accounts(PROD)) == prod
    found = shown(accounts(DEV))
    assert found is not None
    assert found[: len(dev)] == dev
    assert accounts("999999999999") is None
    assert accounts("") is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.yaml", "", "must be a list"),
        ("a.yaml", "[]", "it has none"),
        ("a.yaml", "{'12345': prod}", "'12345' is no account id"),
        ("a.yaml", "- prod", "is no account"),
        ("a.yaml", f"{PROD}: {{name: [a]}}", f"{PROD}: name must be a text"),
        ("a.yaml", f"{PROD}: {{tags: x}}", "tags must have"),
        ("a.yaml", "a: [", "not a list of accounts"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "is no account"),
        ("a.json", "{", "not a list of accounts"),
        ("a.json", json.dumps({PROD: 5}), "is no account"),
        ("a.json", json.dumps([{"id": 12345670123}]), "is no account id"),
        ("a.csv", "name\nprod\n", "None is no account id"),
        ("a.csv", "\x00", "not a list of accounts"),
    ],
)
def test_a_broken_file_is_refused_at_the_start(tmp_path, name, content, words):
    """With its name and what is wrong; check says the same, and of a good one how many accounts it has."""
    path = tmp_path / name
    with pytest.raises(ConfigError, match="No such file"):
        AccountsFile(path, ALL)
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        AccountsFile(path, ALL)
    assert words in str(caught.value)
    enrich = Enrich.model_validate({"accounts": {"file": path}})
    settings = Settings.model_construct(sources={}, sinks={}, enrich=enrich)
    assert [problem.serious for problem in _enrich_files(settings)] == [True]
    path.write_text(CSV if name.endswith("csv") else json.dumps(LISTED))
    (note,) = _enrich_files(settings)
    assert note.note
    assert note.what.endswith("2 accounts")


def test_a_replaced_file_is_used_and_a_broken_one_is_not(tmp_path, capsys):
    """What was written of the old one is written anew; a broken one keeps the old, and is said once."""
    path, told = tmp_path / "a.yaml", list[bool]()
    path.write_text(YAML)
    accounts = AccountsFile(path, TagChoice(denied=frozenset({"owner"})), look_seconds=0.0, told=told.append)
    before, version = accounts(PROD), accounts.version
    assert before is not None
    assert before.tags == {"cost-center": "42"}
    path.write_text("[")
    assert accounts(PROD) is before
    assert accounts.version == version
    path.write_text(f"{PROD}: production\n")
    after = accounts(PROD)
    assert after is not None
    assert after.name == "production"
    assert accounts.version != version
    assert told == [False, True]
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("the old ones stay in use") == 1


@pytest.fixture
def bench() -> Iterator[Bench]:
    stop = Stop()
    made = Bench(stop)
    yield made
    made.directory.gate.set()
    stop.request()


def test_nothing_waits_for_organizations(bench):
    """The first questions find nothing; each account is asked for once; what is no account id is not asked for."""
    bench.directory.gate.clear()
    accounts = bench.accounts()
    assert [accounts(account) for account in (PROD, PROD, "anonymous", "", "1" * 13, "½" * 12)] == [None] * 6
    version = accounts.version
    bench.directory.gate.set()
    until(lambda: accounts(PROD) is not None)
    assert shown(accounts(PROD)) == shown(bench.directory.accounts[PROD])
    assert accounts(PROD) is accounts(PROD)
    assert accounts.version != version
    assert bench.directory.asked == {PROD: 1}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RetryableError("TooManyRequestsException"), "failed"),
        (RetryableError("AccessDeniedException (needs x)", paused=True), "denied"),
        (KeyError("Accounts"), "failed"),
    ],
)
def test_failures_are_counted_and_said_once(bench, error, outcome, capsys):
    """Documents go on without, whatever is answered, and what was known before stays."""
    accounts, resources = bench.accounts(refresh_seconds=0.0), bench.resources()
    accounts(PROD)
    until(lambda: accounts(PROD) is not None)
    bench.directory.error = error
    accounts(PROD)
    accounts(DEV)
    for number in range(3):
        resources(Resource("bucket", PROD, "eu-west-1", f"bucket-{number}"))
    until(lambda: bench.outcomes("accounts", outcome) >= 2 and bench.outcomes("resources", outcome) == 3)
    assert shown(accounts(PROD)) == shown(bench.directory.accounts[PROD])
    assert accounts(DEV) is None
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(str(error)) == 2


def test_memory_is_bounded(bench):
    """A hundred thousand buckets through ten thousand entries: the rest is put off, nothing grows."""
    bench.directory.gate.clear()
    resources = bench.resources()
    for number in range(100_000):
        assert resources(Resource("bucket", PROD, "eu-west-1", f"bucket-{number}")) is None
    assert bench.outcomes("resources", "put_off") == 90_000
    bench.directory.gate.set()
    until(lambda: bench.outcomes("resources", "absent") >= 10_000)
    known = bench.metrics.registry.get_sample_value("shipper_enrich_known", {"lookup": "resources"})
    assert known is not None
    assert 0 < known <= 10_000


def test_kinds_can_be_left_out(bench):
    """What is not wanted is never asked for."""
    resources = bench.resources(kinds=frozenset({"log_group"}))
    assert resources(BUCKET) is None
    resources(GROUP)
    until(lambda: resources(GROUP) is not None)
    assert set(bench.directory.asked) == {GROUP}


def test_the_configuration_turns_it_on(tmp_path):
    """Each by itself; files and region names serve `shipper decode` too, and what needs the network does not."""
    (tmp_path / "accounts.yaml").write_text(YAML)
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\naws: {region: us-east-1}\n"
    section = "enrich: {accounts: {file: accounts.yaml}, region_names: true, resources: {buckets: false}}\n"

    def lookups(content: str, *daemon: Any) -> Lookups:
        settings = config.parse(content, name="f", environ={}, around=Surroundings(folder=tmp_path))
        return build.lookups(settings, *daemon)

    decoding, running = lookups(text + section), lookups(text + section, Metrics(), Stop())
    for found in (decoding, running):
        assert found.accounts is not None
        named = found.accounts(PROD)
        assert named is not None
        assert named.name == "prod"
        assert found.regions is not None
        assert found.regions["eu-west-1"] == "Europe (Ireland)"
    assert decoding.resources is None
    assert running.resources is not None
    plain = lookups(text, Metrics(), Stop())
    assert (plain.accounts, plain.resources, plain.regions) == (None, None, None)
