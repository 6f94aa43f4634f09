"""Organizations, bucket tags and log group tags over HTTP from an emulator, and the calls that are refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shipper.aws import AwsSessions
from shipper.enrich.organizations import Organizations
from shipper.enrich.resources import ResourceAccounts
from shipper.errors import RetryableError
from shipper.model import AccountFacts, Resource
from shipper.ports import Stop
from tests.parts import moto

OWN, OTHER = "123456789012", "444455556666"
LOCATION = {"LocationConstraint": "eu-west-1"}


class World:
    """An organisation with a unit in a unit, and tagged things in two accounts."""

    def __init__(self, running: moto.Moto) -> None:
        self.moto = running
        organizations = running.client("organizations")
        self.organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
        root = organizations.list_roots()["Roots"][0]["Id"]
        above = organizations.create_organizational_unit(ParentId=root, Name="Workloads")["OrganizationalUnit"]["Id"]
        unit = organizations.create_organizational_unit(ParentId=above, Name="Production")["OrganizationalUnit"]["Id"]
        self.accounts = []
        for name in ("prod", "prod-2", "sandbox"):
            made = organizations.create_account(
                AccountName=name, Email=f"{name}@example.com", Tags=[{"Key": "team", "Value": name}]
            )
            self.accounts.append(made["CreateAccountStatus"]["AccountId"])
        for account in self.accounts[:2]:
            organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=unit)
        role = AwsSessions(running.settings(role_arn=f"arn:aws:iam::{OTHER}:role/shipper-enrich"))
        for sessions, owner in ((AwsSessions(running.settings()), "own"), (role, "other")):
            s3, logs = sessions.client("s3"), sessions.client("logs", "eu-west-1")
            s3.create_bucket(Bucket=f"{owner}-tagged", CreateBucketConfiguration=LOCATION)
            s3.put_bucket_tagging(
                Bucket=f"{owner}-tagged", Tagging={"TagSet": [{"Key": "data-class", "Value": f"pii of {owner}"}]}
            )
            logs.create_log_group(logGroupName="/app/shop", tags={"team": owner})
        AwsSessions(running.settings()).client("s3").create_bucket(Bucket="bare")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        moto.set_credentials(patch)
        with moto.running() as running:
            yield World(running)


def organizations(url: str, world: World, denied: list[None]) -> Organizations:
    settings = world.moto.settings(endpoint_url=url)
    return Organizations(settings, Stop(), pause=0.0, denied=lambda: denied.append(None))


def shown(facts: AccountFacts | None) -> tuple[Any, ...] | None:
    return None if facts is None else (facts.name, facts.organization, facts.unit, dict(facts.tags))


def test_accounts_have_names_units_and_tags(world):
    """From the root down; an account at the root is in no unit; what is in no organisation is nothing."""
    fetch = organizations(world.moto.url, world, [])
    prod, second, sandbox = (shown(fetch(account)) for account in world.accounts)
    assert prod == ("prod", world.organization, "Root/Workloads/Production", {"team": "prod"})
    assert second == ("prod-2", world.organization, "Root/Workloads/Production", {"team": "prod-2"})
    assert sandbox == ("sandbox", world.organization, "Root", {"team": "sandbox"})
    assert fetch("999999999999") is None


class _Proxy(ThreadingHTTPServer):
    """Organizations' protocol in front of the emulator: refuses some calls, and counts all."""

    def __init__(self, client: Any, refused: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.client, self.refused, self.calls = client, refused, list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy

    def do_POST(self) -> None:
        call = self.headers["X-Amz-Target"].rpartition(".")[2]
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append(call)
        status, answer = 200, {}
        if call in self.server.refused:
            status, answer = 400, {"__type": self.server.refused[call], "Message": "no"}
        else:
            method = {
                "ListAccounts": self.server.client.list_accounts,
                "ListParents": self.server.client.list_parents,
                "DescribeOrganizationalUnit": self.server.client.describe_organizational_unit,
                "ListTagsForResource": self.server.client.list_tags_for_resource,
            }[call]
            answer = method(**given)
        body = json.dumps(answer, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing: pytest shows what failed."""


@pytest.fixture
def proxy(world: World) -> Iterator[_Proxy]:
    server = _Proxy(world.moto.client("organizations"), {})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_many_accounts_are_listed_once(world, proxy):
    """One listing serves all accounts, and each unit is asked for once."""
    fetch = organizations(proxy.url, world, [])
    for account in (*world.accounts, "999999999999"):
        fetch(account)
    assert proxy.calls.count("ListAccounts") == 1
    assert proxy.calls.count("DescribeOrganizationalUnit") == 2
    assert proxy.calls.count("ListTagsForResource") == 3


@pytest.mark.parametrize("call", ["ListParents", "DescribeOrganizationalUnit", "ListTagsForResource"])
def test_what_is_refused_is_left_out(world, proxy, call, capsys):
    """The name is there all the same; the permission that is missing is said once, and counted each time."""
    proxy.refused[call] = "AccessDeniedException"
    denied = list[None]()
    fetch = organizations(proxy.url, world, denied)
    for account in world.accounts[:2]:
        found = fetch(account)
        assert found is not None
        assert found.name
        assert bool(found.unit) == (call == "ListTagsForResource")
        assert bool(found.tags) == (call != "ListTagsForResource")
    assert len(denied) == 2
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(f"needs organizations:{call}") == 1


@pytest.mark.parametrize(("code", "paused"), [("AccessDeniedException", True), ("TooManyRequestsException", False)])
def test_a_refused_listing_is_a_failure(world, proxy, code, paused):
    """It says whether a person has to act."""
    proxy.refused["ListAccounts"] = code
    with pytest.raises(RetryableError) as caught:
        organizations(proxy.url, world, [])(world.accounts[0])
    assert caught.value.paused is paused
    assert paused == ("needs organizations:ListAccounts" in str(caught.value))


def test_throttling_is_tried_again_later(world, proxy):
    """Nothing half-known is kept."""
    proxy.refused["ListTagsForResource"] = "TooManyRequestsException"
    with pytest.raises(RetryableError) as caught:
        organizations(proxy.url, world, [])(world.accounts[0])
    assert not caught.value.paused


def test_buckets_and_log_groups_of_two_accounts(world):
    """Each in its own account and region; no tags, and no such thing, are nothing."""
    fetch = ResourceAccounts(world.moto.settings(), "shipper-enrich", None)
    assert fetch(Resource("bucket", OWN, "eu-west-1", "own-tagged")) == {"data-class": "pii of own"}
    assert fetch(Resource("bucket", OTHER, "eu-west-1", "other-tagged")) == {"data-class": "pii of other"}
    assert fetch(Resource("log_group", OWN, "eu-west-1", "/app/shop")) == {"team": "own"}
    assert fetch(Resource("log_group", OTHER, "eu-west-1", "/app/shop")) == {"team": "other"}
    assert fetch(Resource("bucket", OWN, "us-east-1", "bare")) is None
    assert fetch(Resource("bucket", OWN, "us-east-1", "nowhere")) is None
    assert fetch(Resource("log_group", OWN, "eu-west-1", "/nowhere")) is None


def test_other_accounts_need_a_role(world):
    """The failure says which key is missing."""
    with pytest.raises(RetryableError, match=r"enrich\.resources\.role_name") as caught:
        ResourceAccounts(world.moto.settings(), None, None)(Resource("bucket", OTHER, "eu-west-1", "other-tagged"))
    assert caught.value.paused


def test_a_server_that_is_not_there_costs_nothing_but_fields(world):
    """Unreachable is a failure to try again."""
    settings = world.moto.settings(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(RetryableError):
        ResourceAccounts(settings, None, None)(Resource("bucket", OWN, "eu-west-1", "own-tagged"))
    with pytest.raises(RetryableError):
        Organizations(settings, Stop(), pause=0.0, denied=lambda: None)(OWN)
