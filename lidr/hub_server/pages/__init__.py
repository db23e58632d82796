"""The same repositories for people: pages that need no JavaScript and load nothing from elsewhere.

In: a `Call` (`lidr.hub_server.wire`). Out: one HTML page.

frame        what is around every page: head, navigation, style, and the policy that lets nothing run
markdown     a README as HTML
row_query    which rows a repository has; the other files are one page each, and page_routes says which path is whose
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub_server.pages.page_routes import PAGE_ROUTES

__all__ = [
    "PAGE_ROUTES",
]
__getattr__ = lazily(__name__)
