"""Versioned artifacts on disk: fingerprints, records, files, locks, resume.

    <store>/<recipe name>/<version>/iter_<k>/<step>/{data/*.parquet, dropped/*.parquet, record.json}

In: rows and what they were made from. Out: artifacts that are complete exactly when they have a record. A step works in
`<step>.partial/` and is renamed to `<step>/` when its record is written. After an interruption the journal of finished
rows is still there, and the step goes on from it. Locks keep two processes from writing the same version at once.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.store.artifact import (
        ROWS_AT_ONCE,
        SHARD_ROWS,
        Artifact,
        ArtifactWriter,
        TableWriter,
        in_tables,
        open_artifact,
        table_batches,
        written_behind,
    )
    from lidr.store.digests import hashed, kept_sha256
    from lidr.store.fingerprints import difference, file_sha256, fingerprint, folder_sha256, shown_apart
    from lidr.store.index_file import TICK_S
    from lidr.store.journal import Journal
    from lidr.store.known_records import MEASURED_ON, KnownRecords
    from lidr.store.recipe_lock import LOCK_FILE, Content, Lock, read_contents, read_lock, read_whole_lock, write_lock
    from lidr.store.record import RECORD_FILE, Rate, Record, contradiction, read_record, record_of, write_record
    from lidr.store.removal import Removal, note_published, published_by_hand, removal_of, remove, stored_size
    from lidr.store.row_digests import RowDigest, row_digest
    from lidr.store.rules import Rules, arrow, by_rules_of, made_by, other_rules, rules_json, rules_of
    from lidr.store.run_locations import locate
    from lidr.store.sealed_json import read_sealed, write_json
    from lidr.store.server_identity import ACCEPTED, ADDRESS, address_of, without_address
    from lidr.store.store import (
        Store,
        discard,
        discard_try,
        find_store,
        has_finished_rows,
        partial_folder,
        partial_identity,
        store_root,
        version_key,
    )

__all__ = [
    "ACCEPTED",
    "ADDRESS",
    "LOCK_FILE",
    "MEASURED_ON",
    "RECORD_FILE",
    "ROWS_AT_ONCE",
    "SHARD_ROWS",
    "TICK_S",
    "Artifact",
    "ArtifactWriter",
    "Content",
    "Journal",
    "KnownRecords",
    "Lock",
    "Rate",
    "Record",
    "Removal",
    "RowDigest",
    "Rules",
    "Store",
    "TableWriter",
    "address_of",
    "arrow",
    "by_rules_of",
    "contradiction",
    "difference",
    "discard",
    "discard_try",
    "file_sha256",
    "find_store",
    "fingerprint",
    "folder_sha256",
    "has_finished_rows",
    "hashed",
    "in_tables",
    "kept_sha256",
    "locate",
    "made_by",
    "note_published",
    "open_artifact",
    "other_rules",
    "partial_folder",
    "partial_identity",
    "published_by_hand",
    "read_contents",
    "read_lock",
    "read_record",
    "read_sealed",
    "read_whole_lock",
    "record_of",
    "removal_of",
    "remove",
    "row_digest",
    "rules_json",
    "rules_of",
    "shown_apart",
    "store_root",
    "stored_size",
    "table_batches",
    "version_key",
    "without_address",
    "write_json",
    "write_lock",
    "write_record",
    "written_behind",
]
__getattr__ = lazily(__name__)
