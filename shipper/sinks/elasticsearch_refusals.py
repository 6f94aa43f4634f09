"""Tells refusals of single documents that show a fault of the server's set-up from those that are the document's own.

A document is refused before it is looked at where its data stream cannot be found or made, where the pipeline of it is
missing, or where an alias stands in its place: the next document would be refused too, and this one is stored as soon
as the fault is mended. All of it comes as 400 or 404, as a document with a bad field does, so that the words tell.
Sources: Elasticsearch 8.19 and 9.5 and OpenSearch 2.19 as they answered (`test_elasticsearch_refusals.py`), and their
code for what those distributions cannot be brought to: MetadataCreateIndexService, MetadataCreateDataStreamService,
IngestService, PipelineProcessor, IndexNameExpressionResolver, ScriptService.
"""

from __future__ import annotations

import re
from typing import Any

_TEMPLATE = "index templates: correct the template or component that the words name"
_PIPELINE = "ingest pipelines: put the missing pipeline, or take its name out of the index settings and templates"
_NAME = (
    "names: something else has the data stream's name (an alias, an index); remove or rename it, or use another "
    "data_stream_namespace"
)
_SHARDS = "shards: delete old indices, or raise cluster.max_shards_per_node or add a node"
_MISSING = "indices: `shipper setup elasticsearch` puts the templates; action.auto_create_index may forbid the name"
_SCRIPT = "ingest pipelines: correct the script, or change the cluster setting that forbids it"
_ROUTING = "index settings: events have no routing; take the need for it out of the mapping or template"
_LICENSE = "licence: renew it, or take the feature that it does not cover out of the pipeline or template"

_BY_TYPE = {
    "alias_not_found_exception": _NAME,
    "index_not_found_exception": _MISSING,
    "index_template_missing_exception": _TEMPLATE,
    "invalid_alias_name_exception": _NAME,
    "invalid_index_name_exception": _NAME,
    "invalid_index_template_exception": _TEMPLATE,
    "resource_already_exists_exception": _NAME,
    "routing_missing_exception": _ROUTING,
    "settings_exception": _TEMPLATE,
}
# Each is met at the beginning of the words only: a processor's answer may quote an event, which must not pause a sink.
_BY_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (r"(Validation Failed: \d+: )?this action would add \[\d+\]", _SHARDS),
        (
            r"pipeline with id \[[^\]]*\] does not exist|pipeline processor configured for non-existent pipeline",
            _PIPELINE,
        ),
        (
            r"cycle detected for pipeline|(default|final) pipeline \[|index \[[^\]]*\] .{0,40}(default|final).pipeline",
            _PIPELINE,
        ),
        (r"only write ops with an op_type of create are allowed|no write index is defined for", _NAME),
        (r"(the provided expression |alias |data stream )?\[[^\]]*\] has more than one ind(ex|ices) associated", _NAME),
        (r"\[require_(data_stream|alias)\]", _NAME),
        (r"cannot create index with name \[|(composable |index )?template \[[^\]]*\] .{0,40}invalid", _TEMPLATE),
        (r"no matching (index )?template|multiple (v2 |index )?templates|component templates? \[", _TEMPLATE),
        (r"unknown setting \[|unknown index sort field|failed to parse (value|setting) \[", _TEMPLATE),
        (r"(analyzer|normalizer|tokenizer|similarity|codec) \[[^\]]*\] (not found|has not been)", _TEMPLATE),
        (r"failed to parse mappings? \[|data stream timestamp field mapper", _TEMPLATE),
        (r"(a )?routing (value )?is required|mapping type \[[^\]]*\] must have routing required", _ROUTING),
        (
            r"cannot execute (\[\w+\] )?scripts|compile error|unable to find script \[|script_lang not supported",
            _SCRIPT,
        ),
        (r"current licen[sc]e is |licen[sc]e (is|has) ", _LICENSE),
    )
)
# What these say is quoted from the document itself: words of an event never pause the sink.
_OF_THE_DOCUMENT = frozenset(
    {
        "document_parsing_exception",
        "input_coercion_exception",
        "mapper_parsing_exception",
        "number_format_exception",
        "parsing_exception",
        "strict_dynamic_mapping_exception",
        "x_content_parse_exception",
    }
)
_CAUSES_LIMIT = 5


def setup_fault(status: int, error: dict[str, Any]) -> str:
    """Return what to do about a refusal that shows a fault of the server's set-up; "" where it is the document's own.

    Args:
        status: of the item, 400 to 499.
        error: as the server gave it, with its causes.
    """
    cause: Any = error
    for _ in range(_CAUSES_LIMIT):
        if not isinstance(cause, dict):
            break
        kind = str(cause.get("type") or "")
        if kind in _OF_THE_DOCUMENT:
            return ""
        if hint := _BY_TYPE.get(kind) or _by_words(str(cause.get("reason") or "")):
            return hint
        if kind == "validation_exception":  # of the making of an index; a request's own is action_request_validation
            return _TEMPLATE
        cause = cause.get("caused_by")
    return _MISSING if status == 404 else ""


def _by_words(words: str) -> str:
    return next((hint for pattern, hint in _BY_WORDS if pattern.match(words)), "")
