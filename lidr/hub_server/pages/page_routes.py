"""Which path shows which page; the first that fits wins."""

from __future__ import annotations

from lidr.hub_server.pages import index_page, lineage_page, repository_page, rows_page
from lidr.hub_server.pages.frame import shown
from lidr.hub_server.routes import Route, route

PAGE_ROUTES: tuple[Route, ...] = (
    route("GET", "/", shown(index_page.index)),
    route("GET", "/lidr/login", shown(index_page.login)),
    route("GET", "/collections/{namespace}/{slug}", shown(index_page.collection)),
    route("GET", "/(?!api/){prefix}{repo}", shown(repository_page.card)),
    route("GET", "/{prefix}{repo}/card/{revision}", shown(repository_page.card)),
    route("GET", "/{prefix}{repo}/rows/{revision}", shown(rows_page.rows)),
    route("GET", "/{prefix}{repo}/lineage/{revision}", shown(lineage_page.lineage)),
    route("GET", "/{prefix}{repo}/(?:tree|commit)/{revision}", shown(repository_page.files)),
    route("GET", "/{prefix}{repo}/tree/{revision}/{path}", shown(repository_page.files)),
    route("GET", "/{prefix}{repo}/blob/{revision}/{path}", shown(repository_page.blob)),
    route("GET", "/{prefix}{repo}/commits/{revision}", shown(repository_page.commits)),
)
