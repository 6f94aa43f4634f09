"""The open-ended parts of one CloudTrail record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_subtrees import Subtree, subtree


class Parts:
    """requestParameters, responseElements, additionalEventData and serviceEventDetails; None where empty.

    Raises:
        BadInputError: one of them is no JSON.
    """

    __slots__ = ("additional", "details", "request", "response")

    def __init__(self, event: CloudTrailRecord) -> None:
        self.request = subtree(event.request_parameters)
        self.response = subtree(event.response_elements)
        self.additional = subtree(event.additional_event_data)
        self.details = subtree(event.service_event_details)

    def tree(self, name: str, wanted: Iterable[str]) -> dict[str, Any]:
        """One part as a dict, by CloudTrail's name; empty where there is none, or it has none of the wanted keys."""
        found: Subtree | None = None
        if name == "requestParameters":
            found = self.request
        elif name == "responseElements":
            found = self.response
        elif name == "additionalEventData":
            found = self.additional
        return {} if found is None or found.lacks(wanted) else found.tree
