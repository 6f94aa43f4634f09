"""Refusals taken apart, and documents without the part that was refused. The words are the servers' own."""

from __future__ import annotations

import orjson
import pytest

from shipper.sinks.elasticsearch_conflicts import Conflict, conflict, without_conflict

WORDS = {
    "a number field given a word": (
        (
            "[1:54] failed to parse field [user.age] of type [long] in document with id 'x'. "
            "Preview of field's value: 'many'; caused by x: For input string: \"many\""
        ),
        Conflict("user.age", "long", "string"),
    ),
    "a keyword given an object": (
        (
            "[1:70] failed to parse field [event.id] of type [keyword] in document with id 'x'. "
            "Preview of field's value: '{a=1}'; caused by x: Can't get text on a START_OBJECT at 1:65"
        ),
        Conflict("event.id", "keyword", "object"),
    ),
    "an object given a value": (
        ("[1:62] object mapping for [source] tried to parse field [source] as object, but found a concrete value"),
        Conflict("source", "object", "value"),
    ),
    "a leaf given a child": (
        (
            "[1:9] Could not dynamically add mapping for field [a.b]. Existing mapping for [a] "
            "must be of type object but found [long]."
        ),
        Conflict("a", "long", "object"),
    ),
    "a field of another type": (
        "illegal_argument_exception: mapper [a.b] cannot be changed from type [long] to [keyword]",
        Conflict("a.b", "long", "keyword"),
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_field_and_both_types_are_read_out_of_the_servers_words(name):
    """What an operator needs to know, without reading a stack of causes."""
    words, wanted = WORDS[name]
    assert conflict(words) == wanted


@pytest.mark.parametrize(
    "words",
    [
        "",
        "illegal_argument_exception: data stream timestamp field [@timestamp] is missing",
        "illegal_argument_exception: Limit of total fields [2000] has been exceeded while adding new fields [1]",
    ],
)
def test_other_refusals_are_no_conflicts(words):
    """There is no field to move."""
    assert conflict(words) is None


@pytest.mark.parametrize(
    ("body", "field", "rest", "moved"),
    [
        ({"a": 1, "b": 2}, "b", {"a": 1}, 2),
        ({"a": {"b": {"c": 1}, "d": 2}}, "a.b", {"a": {"d": 2}}, {"c": 1}),
        ({"a.b": {"c": 1}}, "a.b.c", {"a.b": {}}, 1),
        ({"a.b.c": 1, "x": 0}, "a.b", {"x": 0}, {"c": 1}),
        ({"a": [{"b": 1, "k": 1}, {"b": 2}]}, "a.b", {"a": [{"k": 1}, {}]}, [1, 2]),
    ],
)
def test_the_refused_part_moves_aside_and_the_rest_stays(body, field, rest, moved):
    """However the path's dots are spread over keys, objects and lists."""
    found = without_conflict(orjson.dumps(body), Conflict(field, "long", "object"))
    assert found is not None
    assert orjson.loads(found) == {**rest, "unmapped": {field: moved}, "tags": ["mapping_conflict"]}


def test_tags_that_are_there_stay():
    """The new one comes last."""
    found = without_conflict(b'{"a":1,"tags":["x"],"unmapped":{"k":1}}', Conflict("a", "object", ""))
    assert found is not None
    assert orjson.loads(found) == {"tags": ["x", "mapping_conflict"], "unmapped": {"k": 1, "a": 1}}


def test_a_field_that_is_not_there_cannot_be_moved():
    """The document is a dead letter as it is."""
    assert without_conflict(b'{"a":1}', Conflict("b", "long", "")) is None
