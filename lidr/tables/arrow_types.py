"""Arrow's many ways to hold text, as one: dictionaries, run-ends, views and extension types become plain columns.

    dictionary<string>, run_end_encoded<string>, extension<arrow.json>   string
    list_view, large_list_view, fixed_size_list                          list
    string, large_string, string_view                                    as they are: all readers know them
    binary, large_binary, binary_view                                    as they are; `decoded` reads them as UTF-8

Texts are checked: Parquet and Arrow files may hold bytes that are no UTF-8, and their readers do not look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lidr.errors import RowError

if TYPE_CHECKING:
    import pyarrow as pa


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column of this one is read as."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if _is_listed(kind):
        inner = plain_type(kind.value_type)
        is_plain = (types.is_list(kind) or types.is_large_list(kind)) and inner == kind.value_type
        return kind if is_plain else pa.large_list(inner) if types.is_large_list(kind) else pa.list_(inner)
    if types.is_struct(kind):
        fields = [pa.field(field.name, plain_type(field.type)) for field in kind]
        return kind if [f.type for f in fields] == [f.type for f in kind] else pa.struct(fields)
    return kind


def plain_batch(batch: pa.RecordBatch, where: str, first: int = 0) -> pa.RecordBatch:
    """The batch in plain types, its texts checked.

    Args:
        batch: rows of a file.
        where: the file, for messages.
        first: how many rows of it were before these.

    Raises:
        RowError: a text that is no UTF-8; says in which column and between which rows.
    """
    import pyarrow as pa

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            rows = f"rows {first + 1:,} to {first + batch.num_rows:,}"
            said = str(error).splitlines()[0]
            raise RowError(
                f"{where}: column {name}, {rows}: {said}; write the file again, its texts as UTF-8"
            ) from None
    if all(plain_type(kind) == kind for kind in batch.schema.types):
        return batch
    return pa.record_batch([_plain(column) for column in batch.columns], names=batch.schema.names)


def decoded(column: pa.Array, where: str, first: int = 0) -> pa.Array:
    """A column of bytes as text; any other as it is.

    Raises:
        RowError: bytes that are no UTF-8; says in which row.
    """
    import pyarrow as pa

    types = pa.types
    if not (types.is_binary(column.type) or types.is_large_binary(column.type) or types.is_binary_view(column.type)):
        return column
    texts = []
    for row, value in enumerate(column.to_pylist(), start=first + 1):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            said = f"byte {error.start + 1} of its value, 0x{value[error.start]:02x}, is not UTF-8"
            raise RowError(f"{where}, row {row:,}: {said}; write the column again as texts in UTF-8") from None
    return pa.array(texts, pa.large_string())


def text_type(kind: pa.DataType) -> bool:
    """Whether a column of this type can be read as texts."""
    from pyarrow import types

    of_kind = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary,
               types.is_binary_view)  # fmt: skip
    return any(is_one(plain_type(kind)) for is_one in of_kind)


def _is_listed(kind: pa.DataType) -> bool:
    from pyarrow import types

    of_kind = (types.is_list, types.is_large_list, types.is_list_view, types.is_large_list_view,
               types.is_fixed_size_list)  # fmt: skip
    return any(is_one(kind) for is_one in of_kind)


def _plain(column: pa.Array) -> pa.Array:
    """The column in its plain type: unpacked from the outside in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if plain_type(kind) == kind:
        return column
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(column))
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(column.storage)
    if pa.types.is_struct(kind):
        fields = [_plain(field) for field in column.flatten()]
        return pa.StructArray.from_arrays(fields, [field.name for field in kind], mask=column.is_null())
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast("int64").to_numpy()
    is_large = pa.types.is_large_list(kind)
    offsets = pa.array([0, *lengths.cumsum()], pa.int64() if is_large else pa.int32())
    made = pa.LargeListArray if is_large else pa.ListArray
    return made.from_arrays(offsets, _plain(column.flatten()), mask=column.is_null())
