"""Whose answers they are: a server's address is part of an identity, and records of earlier versions lack it.

A record without an address may be of any server that serves a model of that name: it is unknown, not this one's.

>>> identity = {"step": "policy", "outside": {"address": "http://b:8000/v1"}}
>>> address_of(identity), without_address(identity)
('http://b:8000/v1', {'step': 'policy', 'outside': {}})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADDRESS = "address"
ACCEPTED = "accepted_server"
"""In a record's `execution`: the address that its user has said the answers are of."""
_OF_ANOTHER = "translator"


def address_of(identity: Mapping[str, Any]) -> str | None:
    """The address of the server that answers, where the identity holds one."""
    outside = identity.get("outside") or {}
    other = outside.get(_OF_ANOTHER) or {}
    found = outside.get(ADDRESS) or (other.get(ADDRESS) if isinstance(other, Mapping) else None)
    return found if isinstance(found, str) else None


def without_address(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity as earlier versions wrote it, without the address."""
    outside = {name: value for name, value in identity["outside"].items() if name != ADDRESS}
    if isinstance(other := outside.get(_OF_ANOTHER), Mapping):
        outside[_OF_ANOTHER] = {name: value for name, value in other.items() if name != ADDRESS}
    return {**identity, "outside": outside}
