"""Organizations, S3 and CloudWatch Logs as dicts, and look-ups over them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from shipper.enrich.accounts import Accounts
from shipper.enrich.background import Policy
from shipper.enrich.resources import ResourceTags
from shipper.enrich.tag_choice import TagChoice
from shipper.metrics import Metrics
from shipper.model import AccountFacts, Resource
from shipper.ports import Lookups, Stop

PROD, DEV = "012345670123", "444455556666"
ALL = TagChoice()
BUCKET = Resource("bucket", PROD, "eu-west-1", "pictures")
GROUP = Resource("log_group", PROD, "eu-west-1", "/app/shop")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Directory:
    """Refuses while `error` is set, waits while `gate` is closed."""

    def __init__(self) -> None:
        self.accounts = {PROD: AccountFacts("prod", "o-example", "Root/Workloads/Production", {"owner": "alice"})}
        self.tags = {BUCKET: {"data-class": "pii", "x": "y"}, GROUP: {"team": "shop"}}
        self.asked: Counter[str | Resource] = Counter()
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def account(self, account: str) -> AccountFacts | None:
        self._note(account)
        return self.accounts.get(account)

    def resource(self, resource: Resource) -> dict[str, str] | None:
        self._note(resource)
        return self.tags.get(resource)

    def _note(self, key: str | Resource) -> None:
        self.gate.wait(30)
        self.asked[key] += 1
        if self.error is not None:
            raise self.error


class Bench:
    def __init__(self, stop: Stop) -> None:
        self.directory, self.metrics, self.stop = Directory(), Metrics(), stop

    def accounts(self, **policy: Any) -> Accounts:
        chosen = Policy(**{"requests_per_second": 100_000.0, **policy})
        return Accounts(self.directory.account, self.metrics, self.stop, chosen, ALL)

    def resources(self, tags: TagChoice = ALL, **options: Any) -> ResourceTags:
        chosen = Policy(requests_per_second=100_000.0, most=options.pop("most", 10_000))
        return ResourceTags(self.directory.resource, self.metrics, self.stop, chosen, tags, **options)

    def outcomes(self, lookup: str, outcome: str) -> float:
        labels = {"lookup": lookup, "outcome": outcome}
        return self.metrics.registry.get_sample_value("shipper_enrich_lookups_total", labels) or 0.0

    def warm(self) -> Lookups:
        accounts, resources = self.accounts(), self.resources(TagChoice(denied=frozenset({"x"})))
        accounts(PROD)
        resources(BUCKET)
        resources(GROUP)
        until(
            lambda: len(self.directory.asked) == 3 and bool(resources(BUCKET) and resources(GROUP) and accounts(PROD))
        )
        return Lookups(accounts=accounts, resources=resources, regions={"eu-west-1": "Europe (Ireland)"})
