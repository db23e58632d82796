"""Any OpenAI-compatible server as an engine: what is asked, in which fields, how patiently, and what came back.

In: `ChatRequest`s, or bodies of a judge's questions. Out: `Completion`s, or why there is no answer. `openai` is the
engine, `openai_fields` what a request says, `chat_client` one question with its tries, `server_silence` whether a
server has fallen silent.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.remote.chat_client import ChatClient, Hopeless, Listed, NoAnswer
    from lidr.engines.remote.openai import OpenAIEngine
    from lidr.engines.remote.openai_fields import RequestFields, without_own_defaults

__all__ = ["ChatClient", "Hopeless", "Listed", "NoAnswer", "OpenAIEngine", "RequestFields", "without_own_defaults"]
__getattr__ = lazily(__name__)
