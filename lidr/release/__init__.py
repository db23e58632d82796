"""A finished run becomes a data set, a model and their cards on a Hub; and is read back from there.

In: a run in the store (`finished`). Out: one commit for the pairs, one for each policy, verified and tagged last.
`release_reader` goes the other way: from a repository and a commit to plain data.

    finished -> dataset_release, model_release (staging, cards/, reproduction_files) -> make_release -> publish
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.release.bounded_rows import MOST_ROWS, read_bounded
    from lidr.release.dataset_release import configs_of, language_configs, of_language
    from lidr.release.evaluation_outputs import FOLDER, item_digest, read_outputs, write_samples
    from lidr.release.file_schemas import CardConfigs, fault
    from lidr.release.finished import Finished, dumps, finished_run, resolved
    from lidr.release.make_release import Destinations, release, staged
    from lidr.release.parents import (
        HUB,
        Licence,
        Parent,
        less_than,
        licence_of_run,
        licence_text,
        overridden,
        parents_of_run,
        parents_of_set,
        read_card,
        strictest,
        unknown_licence,
    )
    from lidr.release.publish_staged import Published
    from lidr.release.release_reader import (
        MANIFEST,
        RUN,
        Found,
        OpenedRelease,
        find,
        open_release,
        target_or_public,
        without_weights,
    )
    from lidr.release.reproduction_files import rows_of
    from lidr.release.staging import CONTENT, DatasetFiles, RowFile
    from lidr.release.usage_lines import loading_lines

__all__ = [
    "CONTENT",
    "FOLDER",
    "HUB",
    "MANIFEST",
    "MOST_ROWS",
    "RUN",
    "CardConfigs",
    "DatasetFiles",
    "Destinations",
    "Finished",
    "Found",
    "Licence",
    "OpenedRelease",
    "Parent",
    "Published",
    "RowFile",
    "configs_of",
    "dumps",
    "fault",
    "find",
    "finished_run",
    "item_digest",
    "language_configs",
    "less_than",
    "licence_of_run",
    "licence_text",
    "loading_lines",
    "of_language",
    "open_release",
    "overridden",
    "parents_of_run",
    "parents_of_set",
    "read_bounded",
    "read_card",
    "read_outputs",
    "release",
    "resolved",
    "rows_of",
    "staged",
    "strictest",
    "target_or_public",
    "unknown_licence",
    "without_weights",
    "write_samples",
]
__getattr__ = lazily(__name__)
