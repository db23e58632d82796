"""Versioned artifacts on disk: fingerprints, records, files, locks, resume.

    <store>/<recipe name>/<version>/iter_<k>/<step>/{data/*.parquet, dropped/*.parquet, record.json}

A step works in `<step>.partial/` and is renamed to `<step>/` when its record is written: a folder with a record is
complete, and no other folder is ever read as a result.
"""
