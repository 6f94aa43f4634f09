"""The tags of an envelope, as one of Splunk's indexed fields."""

from __future__ import annotations

TAGS_FIELD = "shipper_tags"
"""Named after the program: `tag` is Splunk's own, and `tags` a field of many other data."""
TAGS_MEMBER = b',"shipper_tags":%b'
"""A JSON member with a comma before it; its value is a list of texts as JSON."""
