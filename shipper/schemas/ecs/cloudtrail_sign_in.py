"""Whether a sign-in failed: CloudTrail says so in the event's answer or details, and mostly without an error code.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html
https://docs.aws.amazon.com/singlesignon/latest/userguide/understanding-sign-in-events.html
https://docs.aws.amazon.com/workspaces/latest/adminguide/signin-events.html
"""

from __future__ import annotations

from typing import Any

from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_parts import Parts

_FAILURES = {"failure": True, "failed": True, "success": False, "succeeded": False}
_SIGN_IN_TYPES = frozenset({"AwsConsoleSignIn", "AwsServiceEvent"})


def states_failure(event: CloudTrailRecord, parts: Parts) -> bool:
    """Return whether a record states, elsewhere than in its error fields, that what it is about failed.

    A value under the event's own name (`"SwitchRole": "Failure"`) decides, whatever kind of event it is. Without one,
    sign-ins and other events that are no calls of an API have failed if any value of their answer or details says so.
    """
    if parts.response is None and parts.details is None and parts.additional is None:
        return False
    answers = [part.tree for part in (parts.response, parts.details) if part is not None]
    if event.event_name:
        trees = [*answers, parts.additional.tree] if parts.additional is not None else answers
        stated = {_failed(tree.get(event.event_name)) for tree in trees}
        if stated != {None}:
            return True in stated
    if event.event_type not in _SIGN_IN_TYPES:
        return False
    return any(_failed(value) for tree in answers for value in tree.values())


def _failed(value: Any) -> bool | None:
    return _FAILURES.get(value.lower()) if type(value) is str and len(value) < 16 else None
