"""One step of a release, made again and compared: its rows, dropped rows, weights, and what its record counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lidr.hub import clean
from lidr.release import OpenedRelease, rows_of
from lidr.reproduce.comparison import (
    compare_numbers,
    compare_rows,
    count_differences,
    samples_of,
    samples_of_record,
    within_error,
    without_source_names,
)
from lidr.reproduce.released_rows import PublishedRows
from lidr.reproduce.rerun import IN_PART, Again, CannotRun, OtherSettings
from lidr.reproduce.verdict import Verdict
from lidr.rows import Dropped
from lidr.steps import STEPS, InitialPolicy
from lidr.store import Artifact, Record, difference
from lidr.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Step:
    """One step of a release, and what comes out when it is made again."""

    release: OpenedRelease
    published: PublishedRows
    again: Again
    record: Record
    _is_touched: bool = False

    def verdict(self, is_wanted: bool) -> Verdict:
        """Make it again if it is wanted, and compare."""
        record, place = self.record, self.record.place
        if not is_wanted:
            there = self.published.artifact(place)
            return Verdict(place, "not asked for", "taken as published" if there else "left out", self._class)
        try:
            artifact, made_again = self.again.make(record)
        except CannotRun as missing:
            self.published.artifact(place)  # its rows are compared with their digest all the same
            return Verdict(place, "cannot run here", str(missing), self._class)
        except OtherSettings as other:
            return Verdict(place, "different", str(other), self._class)
        rules = self.again.rules(record)
        verdict = self._models(artifact) if not artifact.has_tables else self._tables(artifact)
        if verdict.kind in ("identical", "equal rows") and not rules:
            verdict = self._counted(artifact, verdict)
        if not self._is_touched:
            verdict = self._of_others(verdict.by_rules(record.step, rules), made_again)
        if verdict.kind == "other rules":
            self.again.others.add(place)
        inputs = f"{', '.join(made_again)} made again" if made_again else "published inputs"
        return replace(verdict, expected=self._class, inputs=inputs)

    def _of_others(self, verdict: Verdict, made_again: tuple[str, ...]) -> Verdict:
        """What is made from rows that other rules made, and came out otherwise, says nothing either."""
        others = [place for place in made_again if place in self.again.others]
        if verdict.kind != "different" or not others:
            return verdict
        return replace(verdict, kind="other rules", reason=f"made from {', '.join(others)}: {verdict.reason}")

    @property
    def _class(self) -> str:
        steps = self.release.run["steps"]
        return str(next(step["class"] for step in steps if step["place"] == self.record.place))

    def _counted(self, artifact: Artifact, verdict: Verdict) -> Verdict:
        """The same rows or weights have the same counts: cards and reports print those of the record.

        Another lidr may count other things, so only its own records are compared.
        """
        is_part = self.again.rows is not None and self.record.step in IN_PART
        if is_part or self.record.versions.get("lidr") != __version__:
            return verdict
        was, now = without_source_names(self.record), without_source_names(artifact.record)
        lines = [*count_differences(clean(was), clean(now))]
        if not lines:
            return verdict
        reason = f"{verdict.reason}; but the record counts otherwise: {'; '.join(lines[:3])}"
        return Verdict(self.record.place, "different", reason)

    def _models(self, artifact: Artifact) -> Verdict:
        """Weights by their digest; where they are another's, training by its numbers."""
        record, place = self.record, self.record.place
        if artifact.record.digest == record.digest:
            is_ours = record.writes == InitialPolicy.name and self.again.policy_is_shipped
            where = "weights of this installation of lidr" if is_ours else "weights"
            return Verdict(place, "identical", f"{where}, artifact digest {record.digest[:12]}")
        was = {e.path: e.sha256[:12] for e in record.files if e.path.startswith("model/")}
        now = {e.path: e.sha256[:12] for e in artifact.record.files if e.path.startswith("model/")}
        why = f"other files: {'; '.join(difference(was, now)[:3])}"
        if self._class == "exact":
            return Verdict(place, "different", why)
        numbers = compare_numbers(samples_of_record(record), samples_of_record(artifact.record))
        return within_error(numbers, place, "other weights")

    def _tables(self, artifact: Artifact) -> Verdict:
        """Rows by their digest, then one by one, then in numbers; dropped rows with them."""
        record, place = self.record, self.record.place
        first = self.again.rows if record.step in IN_PART else None
        there = self.published.artifact(place, first)
        said = self.release.run["rows"].get(place, {})
        found, rows = rows_of(artifact), STEPS[record.step].writes
        recorded = said.get("data", {}).get("digest", "")
        table = there.read() if there else None
        digest = rows_of(there)["data"]["digest"] if there else recorded
        again = found["data"]["digest"]
        kind, reason, differing = compare_rows(table, artifact.read(), rows, digests=(digest, again))
        if first is None and again == recorded != digest:
            self._is_touched = True
            reason = f"{reason}: the published rows were touched; made again they have the digest of their record"
            return Verdict(place, kind, reason, rows=differing)  # type: ignore[arg-type]
        if kind == "different" and self._class == "statistical":
            return self._within_error(table, artifact, reason)
        if kind != "different" and first is None:
            other = self._dropped(artifact, said, found)
            if other is not None:
                return other
        return Verdict(place, kind, reason, rows=differing)  # type: ignore[arg-type]

    def _within_error(self, table: pa.Table | None, artifact: Artifact, why: str) -> Verdict:
        summed = samples_of(self.record.writes)
        if summed is not None and table is not None:
            return within_error(compare_numbers(summed(table), summed(artifact.read())), self.record.place, why)
        numbers = compare_numbers(samples_of_record(self.record), samples_of_record(artifact.record))
        return within_error(numbers, self.record.place, why)

    def _dropped(
        self, artifact: Artifact, said: dict[str, dict[str, str]], found: dict[str, dict[str, str]]
    ) -> Verdict | None:
        """What is wrong with the dropped rows, where something is."""
        digests = said.get("dropped", {}).get("digest", ""), found.get("dropped", {}).get("digest", "")
        if digests[0] == digests[1]:
            return None
        frame = self.published.dropped(self.record)
        published = None if frame is None else frame.to_arrow().cast(Dropped.schema)
        again = artifact.read("dropped") if "dropped" in found else Dropped.schema.empty_table()
        kind, reason, rows = compare_rows(published, again, Dropped, digests=digests)
        return Verdict(self.record.place, kind, f"dropped: {reason}", rows=rows)  # type: ignore[arg-type]
