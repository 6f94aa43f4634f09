"""A client of CloudWatch Logs that asks the fake in the same process: for tests in simulated time."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from tests.fakes.cloudwatch_logs import ACCOUNT, REGION, ApiError, CloudWatchLogs


class Client:
    """What boto3's client offers, in the same process and so in whatever time the fake has."""

    def __init__(self, logs: CloudWatchLogs, account: str = ACCOUNT, region: str = REGION) -> None:
        self._logs, self._account, self._region = logs, account, region

    def filter_log_events(self, **parameters: Any) -> dict[str, Any]:
        return self._call("FilterLogEvents", parameters)

    def describe_log_groups(self, **parameters: Any) -> dict[str, Any]:
        return self._call("DescribeLogGroups", parameters)

    def list_tags_for_resource(self, **parameters: Any) -> dict[str, Any]:
        return self._call("ListTagsForResource", parameters)

    def describe_subscription_filters(self, **parameters: Any) -> dict[str, Any]:
        return self._call("DescribeSubscriptionFilters", parameters)

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        headers = {"date": formatdate(self._logs.clock(), usegmt=True)}
        try:
            answer = self._logs.call(operation, parameters, account=self._account, region=self._region)
        except ApiError as error:
            said = {"Error": {"Code": error.code, "Message": error.message}}
            raise ClientError(
                {**said, "ResponseMetadata": {"HTTPStatusCode": error.status, "HTTPHeaders": headers}},  # type: ignore[typeddict-item]  # as botocore makes it
                operation,
            ) from error
        except ConnectionError as error:
            raise ConnectionClosedError(endpoint_url="http://fake") from error
        return answer | {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}
