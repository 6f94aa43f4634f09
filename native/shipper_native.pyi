from collections.abc import Callable, Mapping, Sequence
from typing import Any

INTERFACE: int

class CloudTrailEncoder:
    def __init__(
        self,
        tables: Mapping[str, Any],
        identity: Callable[[bytes], object],
        call: Callable[[bytes], tuple[bytes, bytes, bytes, bytes, bytes]],
        place: Callable[[bytes], tuple[bytes, bool, bytes]],
        agent: Callable[[bytes], bytes],
        connection: Callable[[bytes], bytes],
        teaching: Mapping[str, Sequence[str]],
        teach: Callable[[bytes], object] | None,
        enrich: Callable[[Any], tuple[bytes, bytes, bytes, bytes] | None] | None,
    ) -> None: ...
    def encode(self, record: bytes, head: bytes, stored: bytes, account: bytes) -> tuple[int, str, bytes] | None: ...
    def forget_places(self) -> None: ...
    def forget_calls(self) -> None: ...

class FlowLines:
    def __init__(
        self,
        splits: int,
        width: int,
        traffic: Sequence[int],
        fixed_columns: Sequence[int],
        packet: Sequence[tuple[int, bytes]],
        carriers: Sequence[bytes],
        directions: Sequence[bytes],
        endpoint: Callable[[bytes], tuple[bytes, bytes, bytes, bool | None, bytes, bytes, bytes]],
        time: Callable[[bytes], tuple[int, bytes]],
        fixed: Callable[[bytes], tuple[bytes, bytes, bytes, bytes, bytes, bytes]],
    ) -> None: ...
    def encode(self, line: bytes, top: bytes, aws: bytes) -> tuple[int, bytes] | None: ...

class SecretNames:
    def may_be_in(self, record: bytes) -> bool: ...

def has_duplicate_keys(record: bytes) -> bool | None: ...
