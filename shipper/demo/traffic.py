"""The demo's network: flow log lines of production's interfaces, two days of customers, colleagues and strangers.

Fields: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from random import Random

from shipper.demo.cast import PEOPLE, PRODUCTION
from shipper.demo.incident import Incident
from shipper.demo.networks import CUSTOMERS, KNOCKERS

LOG_GROUP = "lanternfish-vpc-flow"
LOG_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} "
    "${bytes} ${start} ${end} ${action} ${log-status} ${instance-id} ${tcp-flags} ${flow-direction}"
)
_WINDOW = timedelta(minutes=10)
_TCP = 6
# Action and TCP flags: SYN and FIN of who asks, SYN-ACK and FIN of who answers, a lone SYN of who is not let in.
_ASKED, _ANSWERED, _REFUSED = "ACCEPT 3", "ACCEPT 19", "REJECT 2"
# Customers by the hour, UTC, and what strangers try, with weights.
_HOURS = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 9, 8, 7, 7, 7, 8, 9, 9, 8, 7, 5, 3)
_TRIED = {22: 34, 23: 14, 3389: 12, 445: 9, 8080: 7, 5432: 6, 6379: 5, 1433: 4}
_WANTED = (22, 3389, 5432)


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of production's VPC.

    Attributes:
        instance: the instance it belongs to; "-" for those that AWS manages.
        public: whether the internet can reach it.
    """

    id: str
    address: str
    instance: str = "-"
    public: bool = False

    @property
    def stream(self) -> str:
        """The log stream of its flow logs, as AWS names it."""
        return f"{self.id}-all"


_BALANCERS = (
    Interface("eni-0b1a5c3e7d9f20461", "10.20.0.10", public=True),
    Interface("eni-0b1a5c3e7d9f20472", "10.20.1.10", public=True),
)
_CHECKOUT = (
    Interface("eni-0c4d7e8f1a2b30583", "10.20.2.21", "i-0a9c4e1f7b2d60381"),
    Interface("eni-0c4d7e8f1a2b30594", "10.20.3.21", "i-0a9c4e1f7b2d60392"),
)
_DATABASE = Interface("eni-0d5e8f9a2b3c40605", "10.20.2.50")
_BASTION = Interface("eni-0e6f9a0b3c4d50716", "10.20.0.20", "i-0b7d5f2a8c3e71493", public=True)
_RENDERER = Interface("eni-0f7a0b1c4d5e60827", "10.20.2.77")
_NAT = Interface("eni-0a8b1c2d5e6f70938", "10.20.0.30", public=True)
INTERFACES = (*_BALANCERS, *_CHECKOUT, _DATABASE, _BASTION, _RENDERER, _NAT)
_PUBLIC = tuple(interface for interface in INTERFACES if interface.public)


@dataclass(frozen=True, slots=True, order=True)
class Flow:
    """One event of the log group.

    Attributes:
        time_ms: when the window of the flow began, as CloudWatch Logs keeps it.
        stream: the log stream.
        line: the flow log record.
    """

    time_ms: int
    stream: str
    line: str


class Traffic:
    """Production's flow logs, the same for the same seed, time and incident.

    Args:
        now: no flow ends later; with a time zone.
        incident: whose address knocks, too.
    """

    def __init__(self, seed: int, now: datetime, incident: Incident, *, days: int = 2) -> None:
        self._rng = Random(f"traffic {seed}")  # its own numbers: the trail's bytes do not depend on the traffic
        self._now = now.astimezone(UTC).replace(microsecond=0)
        self._incident = incident
        first = (self._now - timedelta(days=days)).replace(minute=0, second=0)
        self._windows = [first + n * _WINDOW for n in range(int((self._now - first) / _WINDOW) - 1)]
        self._strangers = self._pick_strangers()

    def flows(self) -> list[Flow]:
        """Return all flows, oldest first."""
        everyday = [*self._customers(), *self._inside(), *self._colleagues(), *self._knocks(), *self._silence()]
        return sorted(flow for flow in (*everyday, *self._intruder()) if flow.time_ms <= self._now.timestamp() * 1000)

    def _flow(
        self,
        at: datetime,
        interface: Interface,
        source: tuple[str, int],
        target: tuple[str, int],
        *,
        size: tuple[int, int],
        end: str,
    ) -> Flow:
        """One direction of a conversation, as the interface saw it.

        Args:
            size: packets and bytes.
            end: action and TCP flags.
        """
        start = int(at.timestamp())
        action, flags = end.split(" ")
        direction = "ingress" if target[0] == interface.address else "egress"
        ends = f"{source[0]} {target[0]} {source[1]} {target[1]} {_TCP} {size[0]} {size[1]}"
        times = f"{start} {start + self._rng.randrange(2, 58)}"
        verdict = f"{action} OK {interface.instance} {flags} {direction}"
        line = f"5 {PRODUCTION.id} {interface.id} {ends} {times} {verdict}"
        return Flow(start * 1000, interface.stream, line)

    def _talk(
        self, at: datetime, interface: Interface, client: str, server: tuple[str, int], sizes: tuple[int, int]
    ) -> Iterator[Flow]:
        """Both directions of a conversation, in which so many bytes were asked and answered."""
        near, (asked, answered) = (client, self._port()), sizes
        yield self._flow(at, interface, near, server, size=(asked // 400 + 4, asked), end=_ASKED)
        yield self._flow(at, interface, server, near, size=(answered // 1200 + 3, answered), end=_ANSWERED)

    def _port(self) -> int:
        return self._rng.randrange(32768, 61000)

    def _moment(self, window: datetime) -> datetime:
        return window + timedelta(seconds=self._rng.randrange(540))

    def _customers(self) -> Iterator[Flow]:
        """Travellers look for trips, by day more than by night."""
        addresses = [str(address) for network in CUSTOMERS for address in ip_network(network.cidr).hosts()]
        for window in self._windows:
            for _ in range(_HOURS[window.hour] + self._rng.randrange(3)):
                balancer = self._rng.choice(_BALANCERS)
                asked, answered = (int(self._rng.lognormvariate(mean, 0.9)) + 400 for mean in (8.2, 11.4))
                client = self._rng.choice(addresses)
                yield from self._talk(
                    self._moment(window), balancer, client, (balancer.address, 443), (asked, answered)
                )

    def _inside(self) -> Iterator[Flow]:
        """The balancers ask the checkout, which asks its database; the renderer goes out now and then."""
        for window in self._windows:
            busy = _HOURS[window.hour]
            for checkout in _CHECKOUT:
                balancer = self._rng.choice(_BALANCERS).address
                size = self._rng.randrange(20_000, 90_000) * busy
                https, sql = (checkout.address, 8443), (_DATABASE.address, 5432)
                yield from self._talk(self._moment(window), checkout, balancer, https, (size, 4 * size))
                yield from self._talk(self._moment(window), _DATABASE, checkout.address, sql, (size // 3, 2 * size))
            if self._rng.randrange(9) < busy:
                size = self._rng.randrange(4_000, 60_000)
                yield from self._talk(
                    self._moment(window), _RENDERER, _RENDERER.address, (_NAT.address, 443), (size, size)
                )

    def _colleagues(self) -> Iterator[Flow]:
        """Those who run the platform reach the bastion from their offices, in working hours."""
        offices = [address for person in PEOPLE[:2] for address in person.addresses]
        for window in self._windows:
            if window.weekday() < 5 and 7 <= window.hour < 17 and self._rng.random() < 0.4:
                size = self._rng.randrange(9_000, 400_000)
                office = self._rng.choice(offices)
                yield from self._talk(self._moment(window), _BASTION, office, (_BASTION.address, 22), (size, 3 * size))

    def _pick_strangers(self) -> tuple[list[str], list[float]]:
        """Addresses that knock on every door, a few of them all the time."""
        hosts = [str(self._rng.choice(list(ip_network(KNOCKERS[n % 3].cidr).hosts()))) for n in range(24)]
        return hosts, [1 / (place + 1) for place in range(len(hosts))]

    def _knocks(self) -> Iterator[Flow]:
        hosts, weights = self._strangers
        ports, chances = list(_TRIED), list(_TRIED.values())
        for window in self._windows:
            for _ in range(self._rng.randrange(4, 9)):
                port = self._rng.choices(ports, chances)[0]
                stranger = self._rng.choices(hosts, weights)[0]
                yield self._knock(self._moment(window), self._rng.choice(_PUBLIC), stranger, port)

    def _knock(self, at: datetime, interface: Interface, stranger: str, port: int) -> Flow:
        packets = self._rng.randrange(1, 4)
        near, far = (stranger, self._port()), (interface.address, port)
        return self._flow(at, interface, near, far, size=(packets, packets * 60), end=_REFUSED)

    def _intruder(self) -> Iterator[Flow]:
        """Having seen the instances by the stolen key, the intruder tries their doors from the same address."""
        address = self._incident.addresses[0]
        for first_try in (211, 2980):
            at = self._incident.began + timedelta(seconds=first_try)
            for port in _WANTED:
                for interface in _PUBLIC:
                    for _ in range(3 if port == 22 else 1):
                        at += timedelta(seconds=self._rng.randrange(2, 9))
                        yield self._knock(at, interface, address, port)

    def _silence(self) -> Iterator[Flow]:
        """A window in which the renderer's interface had no traffic, and two that AWS itself failed to capture."""
        skipped = self._rng.sample(range(len(self._windows)), 2)
        for place, window in enumerate(self._windows):
            if place in skipped:
                yield self._nothing(window, _BALANCERS[0], "SKIPDATA")
            elif self._rng.randrange(9) >= _HOURS[window.hour]:
                yield self._nothing(window, _RENDERER, "NODATA")

    def _nothing(self, window: datetime, interface: Interface, status: str) -> Flow:
        start = int(window.timestamp())
        ends = f"{start} {start + 599}"
        line = f"5 {PRODUCTION.id} {interface.id} - - - - - - - {ends} - {status} - - -"
        return Flow(start * 1000, interface.stream, line)


def batches(flows: list[Flow], most: int = 2_000) -> Iterator[tuple[str, list[Flow]]]:
    """Yield (stream, flows in order of time) for PutLogEvents, which takes one stream's events of 24 hours at once."""
    of_streams: dict[tuple[str, int], list[Flow]] = {}
    for flow in flows:
        of_streams.setdefault((flow.stream, flow.time_ms // 86_400_000), []).append(flow)
    for (stream, _), some in of_streams.items():
        for first in range(0, len(some), most):
            yield stream, some[first : first + most]
