"""What people can read of an answer that is nothing but code: comments, strings, and lines that are none."""

from __future__ import annotations

import re

_SAID = re.compile(r'(?:^|\s)(?:#|//|--|/?\*+)\s+(\S.*)|"([^"\n]+)"|\'([^\'\n]+)\'')
_IS_CODE = re.compile(r"[{}()\[\]=<>;\\]|\w\.\w|^\s*(?:import|from|return|const|let|var|def|class|end|puts|print)\b")


def said_in_code(text: str) -> str:
    """One line for each comment, string, and line without code.

    >>> said_in_code('```python\\n# Die Summe der Zahlen\\nprint(a + b)\\n```')
    'Die Summe der Zahlen'
    """
    found: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            continue
        said = ["".join(parts) for parts in _SAID.findall(line)]
        found += said or ([] if _IS_CODE.search(line) else [line])
    return "\n".join(found)
