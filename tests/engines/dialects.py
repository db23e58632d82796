"""Servers that stand for real ones: each takes some fields and refuses the rest, in its own shape of an error.

What OpenAI, vLLM, SGLang, llama.cpp, Gemini's compatible address and Mistral take, as far as is known late 2026; the
words of refusals are written after that, and none of the servers was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.engines.server import Reply

OF_ALL = {"model", "messages", "stop", "seed", "top_p", "temperature"}
STARTED = {"continue_final_message", "add_generation_prompt"}
ANSWER = "Miel."


def refusal(message: str, param: str | None = None, code: str | None = None) -> Reply:
    """OpenAI's shape of an error."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply(400, json.dumps({"error": error}))


def answer(message: dict[str, Any], *, finish: str = "stop", model: str = "m") -> Reply:
    """A chat completion with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    return Reply(body=json.dumps({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}))


def text_for(body: dict[str, Any]) -> str:
    """What a model says: to a translation request the text between tags, the first of which may be there already."""
    last = body["messages"][-1]
    if last["role"] == "assistant":
        return f"{ANSWER}\n</translated>"
    return f"<translated>\n{ANSWER}\n</translated>" if "<translated>" in last["content"] else ANSWER


def openai_reasoning(body: dict[str, Any], number: int) -> Reply:
    """GPT-5 and o models: `max_completion_tokens`, no temperature but 1, no unknown fields."""
    if unknown := sorted(body.keys() - OF_ALL - {"max_tokens", "max_completion_tokens", "reasoning_effort"}):
        return refusal(f"Unrecognized request argument supplied: {unknown[0]}")
    if "max_tokens" in body:
        return refusal(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if body.get("temperature", 1) != 1:
        return refusal(
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        )
    if "top_p" in body:
        return refusal(
            "Unsupported parameter: 'top_p' is not supported with this model.", "top_p", "unsupported_parameter"
        )
    return answer({"content": text_for(body), "refusal": None}, model="gpt-5-mini-2025-08-07")


def vllm(body: dict[str, Any], number: int) -> Reply:
    """vLLM: continues a message if asked to, both fields together; its reasoning stands in a field of its own."""
    known = OF_ALL | STARTED | {"max_tokens", "max_completion_tokens", "repetition_penalty", "chat_template_kwargs"}
    if unknown := sorted(body.keys() - known):
        return Reply(400, json.dumps({"error": {"message": f"Extra inputs are not permitted: {unknown[0]}"}}))
    if body.get("continue_final_message") and body.get("add_generation_prompt", True):
        return refusal("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
    return answer({"content": text_for(body), "reasoning_content": "I know this."})


def sglang(body: dict[str, Any], number: int) -> Reply:
    """SGLang: continues a message; a name that it does not know it leaves out."""
    return answer({"content": text_for(body), "reasoning_content": None, "tool_calls": None})


def llama_cpp(body: dict[str, Any], number: int) -> Reply:
    """llama.cpp's server: continues a last assistant message by itself, and answers with thoughts apart."""
    return answer({"content": text_for(body), "reasoning_content": "Hm."}, model="gguf")


def gemini(body: dict[str, Any], number: int) -> Reply:
    """Gemini's compatible address: strict about names; at the token limit the message has no content at all."""
    if unknown := sorted(body.keys() - OF_ALL - {"max_tokens", "max_completion_tokens", "reasoning_effort"}):
        words = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
        return Reply(400, json.dumps([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]))
    if body.get("max_tokens") == 1:
        return answer({}, finish="length")
    return answer({"content": text_for(body)})


def mistral(body: dict[str, Any], number: int) -> Reply:
    """Mistral's reasoning models: content in parts, thoughts among them; unknown names are refused as pydantic does."""
    if unknown := sorted(body.keys() - OF_ALL - {"max_tokens", "prompt_mode"}):
        detail = [{"type": "extra_forbidden", "loc": ["body", unknown[0]], "msg": "Extra inputs are not permitted"}]
        return Reply(422, json.dumps({"detail": detail}))
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Bees make honey."}]},
        {"type": "text", "text": text_for(body)},
    ]
    return answer({"content": parts})


DIALECTS: dict[str, Callable[[dict[str, Any], int], Reply]] = {
    "openai_reasoning": openai_reasoning,
    "vllm": vllm,
    "sglang": sglang,
    "llama_cpp": llama_cpp,
    "gemini": gemini,
    "mistral": mistral,
}
