"""Records that others learn from: changes of roles and users, sessions handed out, interfaces made and deleted."""

from __future__ import annotations

from shipper.ports import InterfaceLookup, PrincipalLookup, SessionLookup
from shipper.schemas import iam_changes, interface_changes, session_calls
from shipper.schemas.cloudtrail_record import CloudTrailRecord, time_of
from shipper.schemas.ecs.cloudtrail_identity import identity
from shipper.schemas.ecs.cloudtrail_parts import Parts


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
        if interfaces is not None:
            self.calls[interface_changes.EC2] = interface_changes.CHANGES

    def learn(self, event: CloudTrailRecord, parts: Parts, time_ms: int) -> None:
        """Hand a record on to whom it concerns."""
        source, name = event.event_source, event.event_name
        if not name or event.error_code or name not in self.calls.get(source or "", ()):
            return
        asked = parts.request.tree if parts.request else {}
        answered = parts.response.tree if parts.response else {}
        account, region = event.recipient_account_id, event.aws_region
        if source == iam_changes.IAM and self._principals is not None:
            account = account or identity(event.user_identity).account
            iam_changes.learn(self._principals, name, account=account, region=region, asked=asked, at_ms=time_ms)
        elif source == session_calls.STS and self._sessions is not None:
            address = event.source_address
            if made := session_calls.session_of(event.user_identity, asked, answered, address, time_ms):
                self._sessions.learn(*made)
        elif self._interfaces is not None:
            place = (account, region)
            interface_changes.learn(self._interfaces, name, place=place, asked=asked, answered=answered, at_ms=time_ms)

    def learn_whole(self, event: CloudTrailRecord) -> None:
        """The same of a record whose parts are not taken out yet.

        Raises:
            BadInputError: it has no time, or a part of it is no JSON.
        """
        self.learn(event, Parts(event), time_of(event.event_time)[0])
