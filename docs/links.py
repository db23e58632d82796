"""For the site: links to files that are not in docs/ become the file's name, as the site does not hold them."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((\.\./[^)#]*)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace the links that lead out of docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if path.startswith("docs/"):
            return link[0]
        said = link[1].strip("`")
        return f"`{path}`" if said == path or said in path else f"{link[1]} (`{path}`)"

    return _LINK.sub(replaced, markdown)
