"""The worst moment, on a real Elasticsearch: a batch is stored, its answer is lost, and the stream rolls over."""

from __future__ import annotations

from collections import Counter

import pytest

from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.fakes.proxy import FakeProxy
from tests.parts.elasticsearch import ElasticsearchServer
from tests.torture.campaign import Campaign, seeds

BATCH = 64
BATCHES = 10
"""No more than are surely sent: of each of six objects two."""
LOST = 4


@pytest.mark.parametrize("mode", ["data_stream", "strict"])
@pytest.mark.parametrize("seed", seeds(2))
def test_lost_answers_and_rollovers_stay_within_the_bound(
    mode: str, seed: int, elasticsearch9: ElasticsearchServer
) -> None:
    """No record is lost or doubled: before it is sent again, it is looked for on both sides of the rollover."""
    namespace = f"rollover{mode.replace('_', '')}{seed}"
    strict = mode == "strict"
    campaign = Campaign(seed)
    unlucky = set(campaign.chance.sample(range(BATCHES), LOST))
    sent = looks = 0

    def lose(path: str) -> bool:
        nonlocal sent, looks
        looks += path.startswith("/_mget")
        if not path.startswith("/_bulk"):
            return False
        sent += 1
        if sent - 1 not in unlucky:
            return False
        if not strict:
            answer = elasticsearch9.request("POST", f"logs-aws.cloudtrail-{namespace}/_rollover")
            assert answer.status == 200, answer
        return True

    with FakeProxy() as proxy:
        sink = ElasticsearchSink(
            "siem", [elasticsearch9.url], proxy=proxy.url, namespace=namespace, strict=strict, batch_documents=BATCH
        )
        sink.prepare()
        proxy.losing = lose
        campaign.run(sink, namespace)
        sink.close()
    stored = _stored(elasticsearch9, f"{'shipper' if strict else 'logs'}-aws.cloudtrail-{namespace}*")
    assert sent >= BATCHES, "every answer that was to be lost was"
    campaign.judge(stored, most_duplicates=0)
    assert (looks >= LOST) is not strict, "without rollovers between, this test would prove nothing"


def _stored(server: ElasticsearchServer, names: str) -> Counter[str]:
    """How often each id stands in all indices together."""
    server.request("POST", f"{names}/_refresh")
    found = server.request("POST", f"{names}/_search", {"size": 10_000, "_source": False})
    return Counter(hit["_id"] for hit in found.body["hits"]["hits"])
