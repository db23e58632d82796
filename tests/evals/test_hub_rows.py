"""MGSM's rows from a Hub: a data set without a commit is read at the commit that it has, and the result says which."""

from __future__ import annotations

import os
import subprocess
import sys

from lidr.evals.benchmark_rows import load_rows, place_of

READ = """
from lidr.evals.benchmark_rows import load_rows, place_of
found = load_rows("mgsm", "de", "lidr/mgsm-rows")
print(found.facts.source, found.facts.sha256, place_of("lidr/mgsm-rows", [found]))
"""


def test_rows_from_a_hub_are_those_of_the_folder_and_carry_their_commit(running, data_folder, tmp_path):
    local = load_rows("mgsm", "de", str(data_folder))
    assert place_of(str(data_folder), [local]) == str(data_folder.resolve())
    api = running.target.api()
    api.create_repo("lidr/mgsm-rows", repo_type="dataset", exist_ok=True)
    lines = "".join(f"{row['question']}\t{row['gold']}\n" for row in local.rows)
    commit = api.upload_file(
        path_or_fileobj=lines.encode(), path_in_repo="mgsm_de.tsv", repo_id="lidr/mgsm-rows", repo_type="dataset"
    ).oid
    around = {**os.environ, **running.environment, "HF_HOME": str(tmp_path / "home"), "LIDR_DATA": ""}
    done = subprocess.run([sys.executable, "-c", READ], env=around, capture_output=True, text=True, check=True)
    at = f"lidr/mgsm-rows@{commit}"
    assert done.stdout.split() == [f"{at}/mgsm_de.tsv", local.facts.sha256, at]
