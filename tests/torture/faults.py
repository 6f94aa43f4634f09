"""What a bulk server, or what stands before it, may do instead of answering as it should; each drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply, Step, bulk_reply, failure

_CONFLICT = "[1:9] object mapping for [source] tried to parse field [source] as object, but found a concrete value"
_PAGE = Reply(body=b"<html>please sign in</html>", content_type="text/html")
_FITS = 40


def create(server: FakeElasticsearch, bulk: Bulk, skip: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    """Store as Elasticsearch does: poison is refused for good, positions in `skip` for now; items carry ids."""
    bad = {position for position, line in enumerate(bulk.lines) if b'"source":"text"' in line[2]}
    good = [line for position, line in enumerate(bulk.lines) if position not in bad | skip]
    items = iter(server.create(Bulk(bulk.path, bulk.headers, good)))
    answers = []
    for position, (_, id_, _) in enumerate(bulk.lines):
        if position in skip:
            item = failure(429, "es_rejected_execution_exception", "queue is full")
        elif position in bad:
            item = failure(400, "document_parsing_exception", _CONFLICT)
        else:
            item = next(items)
        answers.append({"_id": id_, **item})
    return answers


def well(server: FakeElasticsearch, bulk: Bulk) -> Reply:
    """The answer that Elasticsearch gives."""
    return bulk_reply(create(server, bulk))


def busy_items(chance: random.Random) -> Step:
    """429 for some of the documents."""
    share, seed = chance.random(), chance.random()

    def step(server: FakeElasticsearch, bulk: Bulk) -> Reply:
        drawn = random.Random(seed)
        return bulk_reply(create(server, bulk, frozenset(n for n in range(len(bulk.lines)) if drawn.random() < share)))

    return step


def short(chance: random.Random) -> Step:
    """All is stored, and the answer leaves some of it out."""
    missing = chance.randint(1, 5)

    def step(server: FakeElasticsearch, bulk: Bulk) -> Reply:
        items = create(server, bulk)
        return bulk_reply(items[: max(0, len(items) - missing)])

    return step


def nothing_stored(chance: random.Random) -> Step:
    """Nothing of it is stored, and the answer claims all but some."""
    missing = chance.randint(1, 5)
    return lambda _, bulk: bulk_reply([{"_id": line[1], "status": 201} for line in bulk.lines[missing:]])


def half(chance: random.Random) -> Step:
    """All is stored, and the answer ends somewhere in its midst."""
    share = chance.random()

    def step(server: FakeElasticsearch, bulk: Bulk) -> Reply:
        whole = bulk_reply(create(server, bulk)).body
        return Reply(
            body=whole[: int(len(whole) * share)], headers={"content-length": str(len(whole)), "connection": "close"}
        )

    return step


def stored_then(reply: Reply) -> Callable[[random.Random], Step]:
    """All is stored, and then something else comes back."""

    def make(_: random.Random) -> Step:
        def step(server: FakeElasticsearch, bulk: Bulk) -> Reply:
            create(server, bulk)
            return reply

        return step

    return make


def instead(reply: Reply) -> Callable[[random.Random], Step]:
    """Nothing is stored, and this comes back."""
    return lambda _: lambda _server, _bulk: reply


def too_large(_: random.Random) -> Step:
    """413 for more than some documents at once."""
    return lambda server, bulk: Reply(413, b"") if len(bulk.lines) > _FITS else well(server, bulk)


FAULTS: dict[str, Callable[[random.Random], Step]] = {
    "429 for documents": busy_items,
    "429": instead(Reply(429, b"{}", headers={"retry-after": "1"})),
    "503": instead(Reply(503, b"")),
    "reset": instead(Reply(reset=True)),
    "stored, then reset": stored_then(Reply(reset=True)),
    "stored, then 502": stored_then(Reply(502, b"<html>", "text/html")),
    "stored, then half an answer": half,
    "stored, then a page with 200": stored_then(_PAGE),
    "a page with 200": instead(_PAGE),
    "empty answer": stored_then(Reply(body=b"")),
    "items missing": short,
    "items missing, nothing stored": nothing_stored,
    "413": too_large,
    "401": instead(Reply(401, b'{"error":{"type":"security_exception","reason":"expired"}}')),
    "read-only": instead(Reply(403, b'{"error":{"type":"cluster_block_exception","reason":"blocked"}}')),
}


def storm(chance: random.Random, names: list[str], length: int) -> list[Step]:
    """That many answers in a row, each with one of the faults or, one in four, well."""
    return [well if chance.random() < 0.25 else FAULTS[chance.choice(names)](chance) for _ in range(length)]
