"""What happened: ECS's event and cloud fields of a CloudTrail record, and the record's own plain fields."""

from __future__ import annotations

from typing import Any

from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_events import INFORMATION, KINDS
from shipper.schemas.ecs.cloudtrail_identity import Identity
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.ecs.cloudtrail_sign_in import states_failure
from shipper.schemas.ecs.cloudtrail_subtrees import cut

_LONGEST_TEXT_BYTES = 8_191


def add_event(
    fields: dict[str, Any], trail: dict[str, Any], event: CloudTrailRecord, who: Identity, parts: Parts
) -> None:
    """Add `event`, `cloud` and the plain fields of `aws.cloudtrail`."""
    action, provider = event.event_name, event.event_source
    _add_plain(trail, event)
    failed = event.error_code or event.error_message or states_failure(event, parts)
    outcome = "failure" if failed else "success"
    if action == "ConsoleLogin":
        outcome = _add_console_login(trail, parts) or outcome
    category, kind = KINDS.get(action, INFORMATION) if action else INFORMATION
    described: dict[str, Any] = {
        "kind": "event",
        "type": kind,
        "outcome": outcome,
        "module": "aws",
        "dataset": "aws.cloudtrail",
    }
    cloud: dict[str, Any] = {"provider": "aws"}
    if action:
        described["action"] = action
    if category:
        described["category"] = category
    if provider:
        described["provider"] = provider
        cloud["service"] = {"name": provider.partition(".")[0]}
    if event.event_id:
        described["id"] = event.event_id
    if account := who.account or event.recipient_account_id:
        cloud["account"] = {"id": account}
    if event.aws_region:
        cloud["region"] = event.aws_region
    fields["event"] = described
    fields["cloud"] = cloud


def _add_plain(trail: dict[str, Any], event: CloudTrailRecord) -> None:
    """The fields that nearly every record has, then those that few have."""
    if event.event_version:
        trail["event_version"] = event.event_version
    if event.event_type:
        trail["event_type"] = event.event_type
    if event.event_category:
        trail["event_category"] = event.event_category
    if event.recipient_account_id:
        trail["recipient_account_id"] = event.recipient_account_id
    if event.request_id:
        trail["request_id"] = event.request_id
    if event.read_only is not None:
        trail["read_only"] = event.read_only
    if event.management_event is not None:
        trail["management_event"] = event.management_event
    if event.error_code:
        trail["error_code"] = event.error_code
    if event.error_message:
        trail["error_message"] = event.error_message
    if event.api_version:
        trail["api_version"] = event.api_version
    if event.shared_event_id:
        trail["shared_event_id"] = event.shared_event_id
    if event.vpc_endpoint_id:
        trail["vpc_endpoint_id"] = event.vpc_endpoint_id
    if event.vpc_endpoint_account_id:
        trail["vpc_endpoint_account_id"] = event.vpc_endpoint_account_id
    if event.session_credential_from_console is not None:
        trail["session_credential_from_console"] = event.session_credential_from_console


def _add_console_login(trail: dict[str, Any], parts: Parts) -> str | None:
    """Add how someone signed in; return the outcome where the answer says it."""
    data = parts.additional.tree if parts.additional else {}
    login: dict[str, Any] = {}
    if (mobile := data.get("MobileVersion")) is not None:
        login["mobile_version"] = mobile != "No"
    if isinstance(to := data.get("LoginTo"), str):
        login["login_to"] = cut(to)
    if (mfa := data.get("MFAUsed")) is not None:
        login["mfa_used"] = mfa != "No"
    if login:
        trail["console_login"] = {"additional_eventdata": login}
    answer = parts.response.tree.get("ConsoleLogin") if parts.response else None
    return answer.lower() if isinstance(answer, str) else None


def cut_texts(event: CloudTrailRecord) -> None:
    """Bound the plain fields of a large record: a keyword longer than Lucene's longest term loses the document."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str) and name != "event_time":
            setattr(event, name, cut(value, _LONGEST_TEXT_BYTES))
