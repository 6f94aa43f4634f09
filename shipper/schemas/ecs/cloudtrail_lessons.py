"""Records that others learn from: changes of roles and users, sessions handed out, interfaces made and deleted."""

from __future__ import annotations

from shipper.model import Session
from shipper.ports import InterfaceLookup, PrincipalLookup, SessionLookup
from shipper.schemas import iam_changes, interface_changes, session_calls
from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_identity import identity
from shipper.schemas.session_calls import object_of


class Lessons:
    """Tells the look-ups that are in use what a record changes for them; None for those that are not."""

    def __init__(
        self, principals: PrincipalLookup | None, sessions: SessionLookup | None, interfaces: InterfaceLookup | None
    ) -> None:
        self._principals = principals
        self._sessions = sessions
        self._interfaces = interfaces
        self.calls: dict[str, frozenset[str]] = {}
        """By eventSource, the eventNames of the records that matter, where the call succeeded."""
        if principals is not None:
            self.calls[iam_changes.IAM] = iam_changes.CHANGES
        if sessions is not None:
            self.calls[session_calls.STS] = session_calls.CALLS
            self.calls[session_calls.SIGN_IN] = session_calls.SIGN_INS
        if interfaces is not None:
            self.calls[interface_changes.EC2] = interface_changes.CHANGES

    def learn(self, event: CloudTrailRecord, time_ms: int) -> None:
        """Hand a record on to whom it concerns."""
        source, name = event.event_source, event.event_name
        if not name or event.error_code or name not in self.calls.get(source or "", ()):
            return
        if source in {session_calls.STS, session_calls.SIGN_IN}:
            if self._sessions is not None and (made := _session(event, time_ms)):
                self._sessions.learn(*made)
            return
        asked, answered = object_of(event.request_parameters), object_of(event.response_elements)
        account, region = event.recipient_account_id, event.aws_region
        if source == iam_changes.IAM and self._principals is not None:
            account = account or identity(event.user_identity).account
            iam_changes.learn(self._principals, name, account=account, region=region, asked=asked, at_ms=time_ms)
        elif self._interfaces is not None:
            place = (account, region)
            interface_changes.learn(self._interfaces, name, place=place, asked=asked, answered=answered, at_ms=time_ms)


def _session(event: CloudTrailRecord, time_ms: int) -> tuple[str, Session] | None:
    if event.event_source == session_calls.STS:
        asked, answered = event.request_parameters, event.response_elements
        return session_calls.session_of(event.user_identity, asked, answered, event.source_address, time_ms)
    said, details = object_of(event.additional_event_data), object_of(event.service_event_details)
    return session_calls.sign_in_of(event.user_identity, said, details, event.source_address, time_ms)
