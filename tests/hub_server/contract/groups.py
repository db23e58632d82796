"""The groups, and the names of their steps without importing a client."""

from __future__ import annotations

import ast
from pathlib import Path

GROUPS = ("repos", "refs", "files", "filesystem", "collections", "data", "models", "command_line")


def steps(group: str) -> list[str]:
    """The steps of a group in order: its functions without an underscore in front."""
    tree = ast.parse((Path(__file__).parent / f"{group}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
