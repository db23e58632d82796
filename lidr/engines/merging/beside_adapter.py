"""Whose tokenizer and chat template a merged model has: those beside the adapter, because it was trained with them.

beside the adapter              the merged model gets
a tokenizer with a template     both from the adapter
a tokenizer without a template  the adapter's tokenizer, the base's template
a template alone                the base's tokenizer, the adapter's template
neither                         both from the base
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lidr.engines.model_folder import TEMPLATE_FILE, TEMPLATE_FILES, TOKENIZER_FILES, VOCABULARIES, template_of


def bring_tokenizer(base: Path, adapter: Path, folder: Path) -> list[str]:
    """Put tokenizer and chat template of a merged model into `folder`; no code comes from the adapter.

    Args:
        base, adapter: folders.
        folder: exists; receives the files.

    Returns:
        What a person should know: whose they are, and what is ignored.

    Raises:
        EngineError: a file beside the adapter is damaged.
    """
    owns_words = any((adapter / name).is_file() for name in VOCABULARIES)
    template = template_of(adapter)
    _copy(adapter if owns_words else base, folder, TOKENIZER_FILES)
    if template is None:
        _copy(base, folder, TEMPLATE_FILES)
        if owns_words and not (folder / TEMPLATE_FILE).exists() and (inner := template_of(base)) is not None:
            (folder / TEMPLATE_FILE).write_text(inner, encoding="utf-8")  # the base had it in its tokenizer_config.json
    else:
        _copy(adapter, folder, TEMPLATE_FILES)
        (folder / TEMPLATE_FILE).write_text(template, encoding="utf-8")
    return _said(adapter, owns_words=owns_words, owns_template=template is not None)


def _copy(source: Path, folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, folder / name)
        elif path.is_file():
            shutil.copyfile(path, folder / name)


def _said(adapter: Path, *, owns_words: bool, owns_template: bool) -> list[str]:
    name = adapter.name
    if owns_words:
        whose = "with its chat template" if owns_template else "with the base's chat template, for it has none"
        return [f"the tokenizer that stands beside the adapter {name} is used, {whose}"]
    said = [f"the chat template that stands beside the adapter {name} is used, with the base's tokenizer"]
    alone = [one for one in TOKENIZER_FILES if (adapter / one).is_file()]
    ignored = f"{', '.join(alone)} beside the adapter {name}: ignored, because the vocabulary is not there"
    return (said if owns_template else []) + ([ignored] if alone else [])
