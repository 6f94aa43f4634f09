"""What the documents of Route 53's query logs have in common: question, answers, who asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from shipper.ports import GeoLookup
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.domains import domain_fields
from shipper.schemas.ecs.log_event import Fields, add, merge, text_in

_MOST_ANSWERS = 500
_IANA_NUMBERS = {"tcp": "6", "udp": "17"}


def add_query(
    document: Fields,
    *,
    name: str | None,
    kind: str | None,
    code: str | None,
    transport: str | None,
    address: str | None,
    geo: GeoLookup | None,
) -> None:
    """Add what every DNS query has: question, response code, transport, and the address that asked.

    Args:
        name: the name that was asked for, with or without its last dot.
        kind: the record's type, such as `AAAA`.
        code: the response code, such as `NXDOMAIN`.
    """
    question = name.removesuffix(".") if name else None
    transport = transport.lower() if transport else None
    fields: dict[str, Any] = {
        "dns.question.name": question,
        "dns.question.type": kind,
        "dns.response_code": code,
        "event.category": ["network"],
        "event.type": ["protocol"],
        "event.outcome": "success" if code == "NOERROR" else "failure",
        "network.protocol": "dns",
        "network.transport": transport,
        "network.iana_number": _IANA_NUMBERS.get(transport or ""),
    }
    if question:
        fields |= {f"dns.question.{part}": value for part, value in domain_fields(question).items()}
    add(document, fields)
    related: dict[str, list[str]] = {"ip": [], "hosts": []}
    if address:
        document["source"] = {"address": address}
        if is_address(address):
            document["source"]["ip"] = address
            document["network"]["type"] = "ipv6" if ":" in address else "ipv4"
            related["ip"].append(address)
            if geo is not None and (place := geo(address)):
                merge(document["source"], place)
    if question and kind == "PTR":
        if asked := _reversed(question):
            related["ip"].append(asked)
    elif question:
        related["hosts"].append(question)
    document["related"] = related


def add_answers(document: Fields, answers: object) -> None:
    """Add a response's answers, where they are a list as Route 53 Resolver writes it; call after `add_query`."""
    if not isinstance(answers, list):
        return
    made, addresses = [], []
    related = document["related"]
    for answer in answers[:_MOST_ANSWERS]:
        if not isinstance(answer, dict):
            continue
        kind, data = text_in(answer, "Type"), text_in(answer, "Rdata")
        data = data.removesuffix(".") if data else None
        parts = {"class": text_in(answer, "Class"), "type": kind, "data": data}
        if kind == "CNAME":
            parts["name"] = data
        made.append({name: value for name, value in parts.items() if value})
        if data and kind in {"A", "AAAA"} and is_address(data):
            addresses.append(data)
        elif data and kind in {"CNAME", "PTR"}:
            related["hosts"].append(data)
    if made:
        document["dns"]["answers"] = made
    if addresses:
        document["dns"]["resolved_ip"] = addresses
        related["ip"] += addresses


def finish(document: Fields) -> None:
    """Leave out what is twice in `related`, and what is empty."""
    related = document["related"]
    for name in ("ip", "hosts"):
        related[name] = list(dict.fromkeys(related[name]))
        if not related[name]:
            del related[name]
    if not related:
        del document["related"]


def _reversed(name: str) -> str | None:
    """The address that a name of `in-addr.arpa` or `ip6.arpa` stands for."""
    lowered = name.lower()
    for suffix, parts, text_of in ((".in-addr.arpa", 4, ".".join), (".ip6.arpa", 32, _nibbles)):
        labels = lowered.removesuffix(suffix).split(".")
        if lowered.endswith(suffix) and len(labels) == parts:
            try:
                return str(ipaddress.ip_address(text_of(labels[::-1])))
            except ValueError:
                return None
    return None


def _nibbles(labels: Sequence[str]) -> str:
    digits = "".join(labels)
    return ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))
