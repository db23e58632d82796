"""Requests and answers as JSON, for the pipe between a worker and its parent.

parent    {"open": {EngineSpec}, "by": "MODULE:CALLABLE"}    then    {"ask": [{ChatRequest}, ...]}
worker    {"completion": {...}} or {"failure": {...}} for each request
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from lidr.engines.engine import ChatRequest, Completion, Failure, Sampling


def encode_requests(requests: Iterable[ChatRequest]) -> list[dict[str, Any]]:
    """Turn requests into plain data."""
    return [asdict(request) for request in requests]


def decode_requests(items: Iterable[Mapping[str, Any]]) -> list[ChatRequest]:
    """Turn what `encode_requests` made into requests again."""
    return [
        ChatRequest(
            key=item["key"],
            messages=tuple(item["messages"]),
            sampling=Sampling(**{**item["sampling"], "stop": tuple(item["sampling"]["stop"])}),
            prefill=item["prefill"],
            direction=tuple(item["direction"]) if item["direction"] else None,
        )
        for item in items
    ]


def encode_result(result: Completion | Failure) -> dict[str, Any]:
    """Turn an answer into plain data."""
    return {"completion" if isinstance(result, Completion) else "failure": asdict(result)}


def decode_result(item: Mapping[str, Any]) -> Completion | Failure:
    """Turn what `encode_result` made into an answer again."""
    if "failure" in item:
        return Failure(**item["failure"])
    fields = item["completion"]
    return Completion(**{**fields, "token_ids": tuple(fields["token_ids"])})
