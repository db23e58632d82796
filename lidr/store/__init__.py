"""Versioned artifacts on disk: fingerprints, records, files, locks, resume.

    <store>/<recipe name>/<version>/iter_<k>/<step>/{data/*.parquet, dropped/*.parquet, record.json}

In: rows and what they were made from. Out: artifacts that are complete exactly when they have a record. A step works in
`<step>.partial/` and is renamed to `<step>/` when its record is written. After an interruption the journal of finished
rows is still there, and the step goes on from it. Locks keep two processes from writing the same version at once.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.store.artifact import SHARD_ROWS, Artifact, ArtifactWriter, TableWriter, open_artifact, written_behind
    from lidr.store.digests import kept_sha256
    from lidr.store.fingerprints import difference, file_sha256, fingerprint, folder_sha256
    from lidr.store.journal import Journal
    from lidr.store.recipe_lock import LOCK_FILE, Content, Lock, read_contents, read_lock, read_whole_lock, write_lock
    from lidr.store.record import RECORD_FILE, Rate, Record, read_record, record_of, write_json, write_record
    from lidr.store.row_digests import RowDigest, row_digest
    from lidr.store.rules import Rules, arrow, by_rules_of, made_by, other_rules, rules_json, rules_of
    from lidr.store.run_locations import locate
    from lidr.store.store import Store, discard, partial_folder, partial_identity, store_root

__all__ = [
    "LOCK_FILE",
    "RECORD_FILE",
    "SHARD_ROWS",
    "Artifact",
    "ArtifactWriter",
    "Content",
    "Journal",
    "Lock",
    "Rate",
    "Record",
    "RowDigest",
    "Rules",
    "Store",
    "TableWriter",
    "arrow",
    "by_rules_of",
    "difference",
    "discard",
    "file_sha256",
    "fingerprint",
    "folder_sha256",
    "kept_sha256",
    "locate",
    "made_by",
    "open_artifact",
    "other_rules",
    "partial_folder",
    "partial_identity",
    "read_contents",
    "read_lock",
    "read_record",
    "read_whole_lock",
    "record_of",
    "row_digest",
    "rules_json",
    "rules_of",
    "store_root",
    "write_json",
    "write_lock",
    "write_record",
    "written_behind",
]
__getattr__ = lazily(__name__)
