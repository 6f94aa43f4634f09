"""The text of maps is that of Java's `HashMap.toString`, which is what Elastic's integration writes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.schemas.ecs.cloudtrail_subtrees import Subtree
from shipper.schemas.ecs.java_maps import in_order, spread_hash

PROGRAM = Path(__file__).parents[1] / "data" / "MapOrder.java"
# Two letters each, of one hash: so are all texts of equally many of them.
COLLIDING = ["Aa", "BB", "C#"]


def keys_of_a_map(rng: random.Random) -> list[str]:
    """Return keys of one kind: usual names, numbers, other scripts, or such as share buckets."""
    usual = ["bucketName", "Host", "key", "roleName", "policyArn", "maxResults", "name", "value", "x-amz-acl"]
    kinds = [
        lambda: rng.choice(usual) + str(rng.randrange(30)),
        lambda: str(rng.randrange(5_000)),
        lambda: "".join(rng.choice("abz é\u4e2d\U0001f600\u2028") for _ in range(rng.randrange(1, 80))),
        lambda: "".join(rng.choice(COLLIDING) for _ in range(5)),
        lambda: "".join(rng.choice(COLLIDING) for _ in range(rng.choice([3, 4]))) + rng.choice(["", "x", "yy"]),
    ]
    some = rng.sample(kinds, rng.choice([1, 1, 2]))
    count = rng.choice([1, 2, 5, 8, 9, 12, 13, 20, 24, 25, 40, 48, 49, 97, 130, 200])
    return list(dict.fromkeys(rng.choice(some)() for _ in range(count)))


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no java to compare with")
def test_keys_are_in_the_order_of_a_real_java():
    """Maps of all sizes, also such whose keys collide: tables that grow early, and buckets that are trees."""
    maps = [keys_of_a_map(random.Random(seed)) for seed in range(3_000)]
    lines = "".join("\t".join(keys) + "\n" for keys in maps)
    command = ["java", str(PROGRAM)]
    ran = subprocess.run(command, input=lines.encode(), capture_output=True, check=True)
    expected = [line.split("\t") for line in ran.stdout.decode().split("\n")[:-1]]
    assert [list(in_order(keys)) for keys in maps] == expected


def test_hashes_count_utf16_units():
    """A character beyond the first plane is two units; values as `"…".hashCode()` gives them."""
    code = 0xD83D * 31 + 0xDE00
    assert spread_hash("\U0001f600") == code ^ code >> 16
    assert spread_hash("") == 0
    assert spread_hash("userName") == 0xF01AFCF6 ^ 0xF01A
    assert spread_hash("Aa") == spread_hash("BB")


@pytest.mark.parametrize(
    ("part", "text"),
    [
        # Of Elastic's own expected documents, or of the integration on real records.
        ({"withDecryption": True, "name": "/a"}, "{withDecryption=true, name=/a}"),
        ({"name": "/a", "withDecryption": True}, "{withDecryption=true, name=/a}"),
        ({"roleName": "r", "policyArn": "p"}, "{policyArn=p, roleName=r}"),
        (
            {"filterSet": {"items": [{"name": "n", "valueSet": {"items": [{"value": "v"}]}}]}},
            "{filterSet={items=[{valueSet={items=[{value=v}]}, name=n}]}}",
        ),
        (
            {"n": [1, 2.0, 1e-7, 12345678.5, -0.0, 123456789012345678901234567890]},
            "{n=[1, 2.0, 1.0E-7, 1.23456785E7, -0.0, 123456789012345678901234567890]}",
        ),
        ({"b": False, "nothing": None, "list": [[], [None], ["x", ["y"]]], "text": "-"}, "{b=false, list=[[x, [y]]]}"),
        ({"é": 1, "\U0001f600": 2, "\u4e2d": "3"}, "{\U0001f600=2, é=1, \u4e2d=3}"),
        ({}, ""),
        ({"a": {}, "b": [{}]}, ""),
    ],
)
def test_maps_are_written_as_java_writes_them(part, text):
    """Nested ones too, numbers as Java has them, and nothing that is empty."""
    for form in ({"separators": (",", ":")}, {"indent": 1}):
        for ascii_only in (True, False):
            assert Subtree(json.dumps(part, ensure_ascii=ascii_only, **form).encode()).text == text


def test_what_is_left_out_counts_for_the_order():
    """The integration takes empty values out of a map whose table has grown: the order stays that of the larger one."""
    full = {f"key{number}": "" if number % 4 else str(number) for number in range(40)}
    few = {name: value for name, value in full.items() if value}
    order = [key for key in in_order(full) if full[key]]
    text = Subtree(json.dumps(full).encode()).text
    assert text == "{" + ", ".join(f"{key}={full[key]}" for key in order) + "}"
    assert text != Subtree(json.dumps(few).encode()).text


def test_a_key_taken_out_later_counts_for_the_order():
    """The name of a UserAuthentication is moved from a map that keeps its table."""
    part = Subtree(json.dumps({f"key{number}": "v" for number in range(12)} | {"UserName": "eve"}).encode())
    rest = part.without("UserName").text
    assert rest == part.text.replace("UserName=eve, ", "").replace(", UserName=eve", "")
    assert "eve" not in rest


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.sampled_from(["", "x", "none"]), max_size=80))
def test_every_kept_key_is_written_once(part):
    """No key is lost or doubled, whatever its hash."""
    ordered = in_order(part)
    assert sorted(ordered) == sorted(part)
    kept = [f"{key}=x" for key in ordered if part[key] == "x"]
    raw = json.dumps(part, separators=(",", ":")).encode()
    assert Subtree(raw).text == ("{" + ", ".join(kept) + "}" if kept else "")
