"""Rows as people write them: the one reader of files and texts for prompts and for pairs.

In: a path, or columns of texts. Out: rows with the place of each, or Arrow batches in plain types; expressions that say
which texts are blank and which are the same. What cannot be read is named with its file, line and byte.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.tables.arrow_types import decoded, plain_type, text_type
    from lidr.tables.delimited import DELIMITERS, columns_place, has_semicolons
    from lidr.tables.prompt_parts import NOTHING, OTHER_PARTS, PROMPT_PARTS, THOUGHTS, holds_anything
    from lidr.tables.row_files import file_batches, file_schema, row_count, values_among_texts
    from lidr.tables.rows_in_place import placed_rows
    from lidr.tables.strict_json import decode, json_array, json_lines, parse_json
    from lidr.tables.text_files import TABLE_FILES, contents, kind_of, table_files
    from lidr.tables.visible_text import VISIBLE, is_visible
    from lidr.tables.white_space import bare, is_blank, same, trimmed

__all__ = [
    "DELIMITERS",
    "NOTHING",
    "OTHER_PARTS",
    "PROMPT_PARTS",
    "TABLE_FILES",
    "THOUGHTS",
    "VISIBLE",
    "bare",
    "columns_place",
    "contents",
    "decode",
    "decoded",
    "file_batches",
    "file_schema",
    "has_semicolons",
    "holds_anything",
    "is_blank",
    "is_visible",
    "json_array",
    "json_lines",
    "kind_of",
    "parse_json",
    "placed_rows",
    "plain_type",
    "row_count",
    "same",
    "table_files",
    "text_type",
    "trimmed",
    "values_among_texts",
]
__getattr__ = lazily(__name__)
