"""What the set-up concludes from a server's answers: only clear words mean that it has none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shipper.errors import RetryableError
from shipper.sinks.elasticsearch import ElasticsearchSink
from shipper.sinks.elasticsearch_probes import NotAllowedError
from tests.fakes.elasticsearch import FakeElasticsearch, Reply

STATUS, POLICY = "/_ilm/status", "/_ilm/policy/shipper-logs"
SETTINGS = "/_component_template/shipper-logs@settings"
RUNNING = Reply(body=b'{"operation_mode":"RUNNING"}')
FORBIDDEN = Reply(403, b'{"error":{"type":"security_exception","reason":"action is unauthorized"},"status":403}')
NO_HANDLER = b'{"error":"no handler found for uri [/_ilm/status] and method [GET]"}'
PAGE = Reply(200, b"<html>Please log in</html>", content_type="text/html")
UNCLEAR = {
    "busy": Reply(503, b'{"error":{"type":"cluster_block_exception","reason":"not recovered"}}'),
    "too many": Reply(429, b'{"error":"too many requests"}'),
    "a timeout": Reply(408, b"{}"),
    "a gateway's page": Reply(502, b"<html>Bad Gateway</html>", content_type="text/html"),
    "a proxy's page": Reply(403, b"<html>Forbidden</html>", content_type="text/html"),
    "a page for what is not there": Reply(404, b"<html>Not Found</html>", content_type="text/html"),
    "a gateway's words": Reply(404, b'{"message":"no Route matched with those values"}'),
    "a login page": PAGE,
    "nothing": Reply(200, b""),
    "a redirect": Reply(302, b""),
    "an odd refusal": Reply(400, b'{"error":{"type":"illegal_argument_exception","reason":"odd"}}'),
}
NONE = {
    "Elasticsearch without it, OpenSearch": Reply(400, NO_HANDLER),
    "a method that is not there": Reply(
        405, b'{"error":"Incorrect HTTP method for uri [/_ilm/status] and method [GET], allowed: [POST]","status":405}'
    ),
    "not there": Reply(404, b'{"error":{"type":"resource_not_found_exception","reason":"no"},"status":404}'),
    "Serverless": Reply(
        410,
        b'{"error":{"type":"api_not_available_exception","reason":"Request for uri [/_ilm/status] with method [GET] '
        b'exists but is not available when running in serverless mode"},"status":410}',
    ),
    "AWS": Reply(401, b'{"Message":"Your request: \'/_ilm/status\' is not allowed."}'),
}


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    """A fake cluster."""
    with FakeElasticsearch() as fake:
        yield fake


@pytest.fixture
def sink(server: FakeElasticsearch) -> Iterator[ElasticsearchSink]:
    """A sink for it."""
    made = ElasticsearchSink("siem", [server.url])
    yield made
    made.close()


def policy_of(server: FakeElasticsearch) -> str | None:
    name: str | None = server.templates[SETTINGS]["template"]["settings"]["index"].get("lifecycle.name")
    return name


@pytest.mark.parametrize("answer", UNCLEAR)
def test_an_answer_that_says_nothing_of_ilm_is_asked_again(server, sink, answer):
    """No template is put on a guess, and the next attempt puts them with the policy."""
    server.answers[STATUS] = UNCLEAR[answer]
    with pytest.raises(RetryableError, match=f"whether the server has ILM: HTTP {UNCLEAR[answer].status}"):
        sink.prepare()
    assert server.templates == {}
    server.answers[STATUS] = RUNNING
    sink.prepare()
    assert policy_of(server) == "shipper-logs"


@pytest.mark.parametrize("answer", NONE)
def test_clear_words_mean_that_there_is_no_ilm(server, sink, answer):
    """Then the data streams have a lifecycle of their own."""
    server.answers[STATUS] = NONE[answer]
    sink.prepare()
    assert policy_of(server) is None
    assert server.templates[SETTINGS]["template"]["lifecycle"] == {"enabled": True}
    assert list(sink.problems()) == []


def test_credentials_that_may_not_see_ilm_put_no_templates_without_it(server, sink):
    """Delivering goes on where the templates are there; where they are missing, the error says what is lacking."""
    server.answers[STATUS] = FORBIDDEN
    with pytest.raises(NotAllowedError, match="whether the server has ILM") as caught:
        sink.install_templates()
    assert "manage_ilm" in caught.value.hint
    assert server.templates == {}
    server.answers[STATUS] = RUNNING
    sink.prepare()
    server.answers[STATUS] = FORBIDDEN
    assert sink.install_templates() == []
    assert list(sink.problems()) == []


def test_an_update_keeps_the_policy_that_cannot_be_seen(server, sink):
    """A newer program replaces the component of an older one, by credentials that may not look at ILM."""
    server.answers[STATUS] = RUNNING
    sink.prepare()
    server.templates[SETTINGS]["_meta"]["version"] = 1
    server.answers[STATUS] = FORBIDDEN
    assert len(sink.install_templates()) == 1
    assert policy_of(server) == "shipper-logs"


def test_a_later_start_mends_what_was_put_without_the_policy(server, sink):
    """As 0.1.0 did after a busy moment; `check` says it, and how indices that are there get the policy."""
    server.answers[STATUS] = Reply(400, NO_HANDLER)
    sink.prepare()
    server.answers[STATUS] = RUNNING
    problems = [(problem.what, problem.hint) for problem in sink.problems()]
    assert [what.split(":")[0].split(",")[0] for what, _ in problems] == [
        "ILM policy shipper-logs is missing",
        "component template shipper-logs@settings does not name the ILM policy shipper-logs",
    ]
    assert "PUT /logs-aws.*-default" in problems[1][1]
    assert '/_settings {"index.lifecycle.name":"shipper-logs"}' in problems[1][1]
    policy, settings = sink.install_templates()
    assert policy == "ILM policy shipper-logs installed"
    assert settings.startswith("component template shipper-logs@settings installed")
    assert "now with the ILM policy shipper-logs" in settings
    assert policy_of(server) == "shipper-logs"
    server.answers[POLICY] = Reply(body=b'{"shipper-logs":{}}')
    assert sink.install_templates() == []
    assert list(sink.problems()) == []


def test_a_component_that_names_another_policy_is_the_operators(server, sink):
    """In whatever form the server writes settings; it is left alone."""
    server.answers[STATUS] = RUNNING
    sink.prepare()
    server.answers[POLICY] = Reply(body=b'{"shipper-logs":{}}')
    server.templates[SETTINGS]["template"]["settings"] = {"index": {"lifecycle": {"name": "mine"}}}
    assert sink.install_templates() == []
    assert list(sink.problems()) == []


@pytest.mark.parametrize(
    "path", [STATUS, SETTINGS, "/_index_template/logs-aws", "/_security/user/_has_privileges", "/"]
)
@pytest.mark.parametrize("answer", [PAGE, Reply(503, b"{}"), Reply(429, b"{}")])
def test_check_says_what_the_server_did_not(server, sink, path, answer):
    """An answer without meaning is a problem of its own, never `all is well`."""
    server.answers[STATUS] = RUNNING
    sink.prepare()
    server.answers[POLICY] = Reply(body=b'{"shipper-logs":{}}')
    assert list(sink.problems()) == []
    server.answers[path] = answer
    problems = list(sink.problems())
    assert [problem.serious for problem in problems] == [True]
    assert f"HTTP {answer.status}" in problems[0].what


@pytest.mark.parametrize("path", [SETTINGS, "/_index_template/logs-aws"])
def test_a_page_is_neither_a_template_nor_its_absence(server, sink, path):
    """A proxy between us and the cluster: what is there is not overwritten."""
    sink.prepare()
    server.templates[path]["mine"] = True
    for page in (PAGE, UNCLEAR["a page for what is not there"]):
        server.answers[path] = page
        with pytest.raises(RetryableError):
            sink.prepare()
    assert server.templates[path]["mine"]


def test_privileges_that_cannot_be_seen_are_a_remark(server, sink):
    """The server refuses to say: it does not mean that nothing is lacking."""
    sink.prepare()
    server.answers["/_security/user/_has_privileges"] = FORBIDDEN
    assert ["does not say what the credentials may do" in problem.what for problem in sink.problems()] == [True]
