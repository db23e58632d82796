"""The endpoints that the Hugging Face clients call, one file a subject; `api_routes` says which path is whose.

In: a `Call` (`lidr.hub_server.wire`). Out: the answer that the Hub would give.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub_server.api.api_routes import API_ROUTES
    from lidr.hub_server.api.collections import collection_of, collections_of
    from lidr.hub_server.api.repos import card_of, metadata_of, tags_of

__all__ = [
    "API_ROUTES",
    "card_of",
    "collection_of",
    "collections_of",
    "metadata_of",
    "tags_of",
]
__getattr__ = lazily(__name__)
