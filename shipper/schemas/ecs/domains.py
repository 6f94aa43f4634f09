"""Which part of a name was registered by somebody, by Mozilla's Public Suffix List, which a package brings.

Private suffixes (`s3.amazonaws.com`, `cloudfront.net`) count, as in Elastic's examples and Beats: what stands before
one belongs to somebody else than its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_MOST_NAMES = 20_000
_LONGEST_NAME = 255
"""RFC 1035, 2.3.4."""
_REVERSE = (".in-addr.arpa", ".ip6.arpa")


@lru_cache(_MOST_NAMES)
def domain_fields(name: str) -> Mapping[str, str]:
    """`registered_domain`, `top_level_domain` and `subdomain` of a name without its last dot.

    Empty where the name ends in no public suffix, as those of private networks do, and for addresses' names. Shared
    between equal names: never change it. Safe to call from many threads.
    """
    if len(name) > _LONGEST_NAME or name.lower().endswith(_REVERSE):
        return {}
    suffix = _suffixes().publicsuffix(name, accept_unknown=False)
    if suffix is None:
        return {}
    fields = {"top_level_domain": suffix}
    labels, kept = name.split("."), suffix.count(".") + 2
    if len(labels) >= kept:
        fields["registered_domain"] = ".".join(labels[-kept:]).lower()
        if len(labels) > kept:
            fields["subdomain"] = ".".join(labels[:-kept])
    return fields


@cache
def _suffixes() -> PublicSuffixList:
    """The list; some 10,000 rules, read when the first name is met."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
