"""Which licence a release gets: the strictest of all its parents, unless a person says otherwise and why.

    cc0-1.0 prompts, apache-2.0 model    -> apache-2.0
    mit pairs, apache-2.0 model          -> apache-2.0, which asks for more
    cc-by-nc-4.0 prompts, llama3 model   -> cc-by-nc-4.0, and the card lists the Llama terms
    cc-by-sa-4.0 and cc-by-nc-4.0        -> other: no licence satisfies both
    ms-pl and apache-2.0                 -> other: of one class, and neither asks for all that the other does
    anything that is not known           -> other, with a link; the reason names the strictest that is known

It is arithmetic on names, no legal advice; every parent is listed in the card with its licence.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lidr.errors import HubError

_RANKS: tuple[tuple[str, str], ...] = (
    ("free", "cc0-1.0 pddl unlicense wtfpl"),
    (
        "permissive",
        "mit apache-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc zlib ncsa postgresql ms-pl bsl-1.0 "
        "afl-3.0 artistic-2.0 ecl-2.0 cdla-permissive-1.0 cdla-permissive-2.0 openmdw-1.0",
    ),
    ("attribution", "odc-by etalab-2.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0"),
    (
        "share-alike",
        "cc-by-sa-3.0 cc-by-sa-4.0 odbl cdla-sharing-1.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 agpl-3.0 "
        "mpl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 osl-3.0 lppl-1.3c ofl-1.1 c-uda lgpl-lr",
    ),
    (
        "conditions of use",
        "llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma openrail openrail++ bigscience-openrail-m "
        "bigscience-bloom-rail-1.0 creativeml-openrail-m bigcode-openrail-m deepfloyd-if-license grok2-community",
    ),
    (
        "non-commercial",
        "cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 h-research intel-research apple-ascl apple-amlr "
        "fair-noncommercial-research-license",
    ),
    ("non-commercial, share-alike", "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0"),
    ("no derivatives", "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0"),
)
"""The Hub's licence identifiers (huggingface/hub-docs, repositories-licenses), from the freest to the strictest."""

CLASS_OF = {name: rank for rank, (_, names) in enumerate(_RANKS) for name in names.split()}
"""Each licence's class, as a place in that list."""
_NOTICE = "bsl-1.0 cdla-permissive-2.0 isc mit postgresql zlib"  # the notice stays; of zlib also: changes are marked
_BSD = (_NOTICE, "bsd-2-clause", "bsd bsd-3-clause ncsa")
ORDERS: tuple[tuple[str, ...], ...] = (
    ("cc0-1.0 pddl unlicense wtfpl",),
    (*_BSD, "apache-2.0", "ecl-2.0"),
    (*_BSD, "bsd-3-clause-clear"),
    *((_NOTICE, name) for name in ("afl-3.0", "artistic-2.0", "cdla-permissive-1.0", "ms-pl", "openmdw-1.0")),
    *((name, "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0") for name in ("odc-by", "etalab-2.0")),
    ("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
)
"""Within a class: whoever keeps a licence of a later place keeps those before it, and those beside it. Licences that no
line has both have no order."""

_SHARE_ALIKE = 3
_CONDITIONS = 4
_NO_DERIVATIVES = 7
IDENTIFIERS = frozenset(CLASS_OF) | {"other", "unknown", "cc"}
"""What the Hub accepts in `license:`."""


@dataclass(frozen=True)
class Parent:
    """Something that the release is made from.

    Args:
        role: `prompts`, `policy`: what it was used for.
        licence: the Hub's identifier, or None when nobody said.
        link: where it is itself.
        licence_link: where its licence is, if it says so.
    """

    role: str
    name: str
    revision: str | None
    licence: str | None
    link: str | None = None
    licence_link: str | None = None


@dataclass(frozen=True)
class Licence:
    """The licence of a release.

    Args:
        name, link: only with `other`: what to call it and where it is explained.
        reason: how it was found, in a sentence for the card.
    """

    identifier: str
    reason: str
    name: str | None = None
    link: str | None = None


def strictest(parents: Sequence[Parent]) -> Licence:
    """Compute the licence from all parents.

    >>> strictest([Parent("prompts", "p", None, "cc0-1.0"), Parent("policy", "m", None, "apache-2.0")]).identifier
    'apache-2.0'
    """
    unknown = [parent for parent in parents if _key(parent) not in CLASS_OF]
    found = {_key(parent): CLASS_OF[_key(parent)] for parent in parents if parent not in unknown}
    clash = _clash(found)
    winner = max(_most_demanding(found), default="")
    if unknown or not parents:
        said = ", ".join(f"{parent.role} {parent.name}" for parent in unknown) or "no parent"
        link = next((where for parent in unknown if (where := parent.licence_link or parent.link)), "LICENSE.md")
        least = f"at least as strict as {winner} ({_RANKS[found[winner]][0]}); " if found.get(winner) else ""
        least = f"{clash}; " if clash else least
        return Licence("other", f"{least}the licence of {said} is not known to lidr", "see-attribution", link)
    if clash:
        return Licence("other", clash, "mixed-see-attribution", "LICENSE.md")
    return Licence(winner, f"the strictest of its parents ({_RANKS[found[winner]][0]})")


def _key(parent: Parent) -> str:
    return (parent.licence or "").lower()


def _clash(found: dict[str, int]) -> str | None:
    """Two licences that no third satisfies."""
    strict = sorted(name for name, rank in found.items() if rank >= _SHARE_ALIKE)
    nc = [name for name in strict if CLASS_OF[name] > _CONDITIONS]
    alike = [name for name in strict if CLASS_OF[name] == _SHARE_ALIKE or "-sa-" in name]
    if any(CLASS_OF[name] == _NO_DERIVATIVES for name in strict):
        return f"{', '.join(strict)} allows no derived works to be shared"
    if alike and len(strict) > 1 and (len(alike) > 1 or nc or _rank_of_others(strict, alike)):
        return f"{' and '.join(strict)} each ask for their own terms"
    conditions = [name for name in strict if CLASS_OF[name] == _CONDITIONS]
    most = conditions if len(conditions) > 1 else _most_demanding(found)
    is_ordered = all(_covers(one, other) for one in most for other in most)
    return None if is_ordered else f"{' and '.join(most)} each ask for their own terms"


def _most_demanding(found: dict[str, int]) -> list[str]:
    """Of the strictest class those that no other of it goes beyond, by name."""
    names = sorted(name for name, rank in found.items() if rank == max(found.values()))
    return [one for one in names if not any(_covers(other, one) and not _covers(one, other) for other in names)]


def _covers(one: str, other: str) -> bool:
    """Whether the first asks for all that the second does."""
    places = [{name: place for place, step in enumerate(order) for name in step.split()} for order in ORDERS]
    return one == other or any(place.get(one, -1) >= place[other] for place in places if other in place)


def _rank_of_others(strict: Sequence[str], alike: Sequence[str]) -> bool:
    return any(name not in alike for name in strict)


def overridden(identifier: str, reason: str, *, name: str | None = None, link: str | None = None) -> Licence:
    """A licence that a person decided on.

    Raises:
        HubError: no identifier of the Hub, no reason, or `other` without a name and a link.
    """
    if identifier not in IDENTIFIERS:
        said = unknown_licence(identifier) or f'"{identifier}" has capitals (did you mean {identifier.lower()}?)'
        raise HubError(f"publish.license.id: {said}; use `other` with a link for any that it does not have")
    if not reason.strip():
        raise HubError("publish.license.reason: say why this licence and not the strictest of the parents")
    if identifier == "other" and not (name and link):
        raise HubError("publish.license: `other` needs a name and a link")
    return Licence(identifier, f"decided by the publisher: {reason.strip()}", name, link)


def less_than(identifier: str, asked: Mapping[str, str]) -> list[str]:
    """What a licence leaves out that its parents ask for: those of a stricter class, where both are known.

    Args:
        identifier: of the release.
        asked: whose licence -> its identifier.

    >>> less_than("mit", {"the prompts": "cc-by-nc-4.0", "the policy": "apache-2.0"})
    ['the cc-by-nc-4.0 of the prompts (non-commercial)']
    """
    known = {whose: CLASS_OF[name.lower()] for whose, name in asked.items() if name.lower() in CLASS_OF}
    own = CLASS_OF.get(identifier, len(_RANKS))
    return [f"the {asked[whose]} of {whose} ({_RANKS[rank][0]})" for whose, rank in known.items() if rank > own]


def unknown_licence(identifier: str) -> str | None:
    """What to say of a licence that the Hub does not know; None where it does, in capitals too.

    >>> unknown_licence("CC0")
    '"CC0" is no licence identifier of the Hub (did you mean cc0-1.0?)'
    """
    if identifier.lower() in IDENTIFIERS:
        return None
    near = _nearest(identifier)
    hint = f" (did you mean {near}?)" if near else ""
    return f'"{identifier}" is no licence identifier of the Hub{hint}'


def _nearest(identifier: str) -> str | None:
    """The licence that was probably meant: one that begins like it, one that it begins with, one that is like it."""
    known = {_bare(name): name for name in CLASS_OF}
    if not (text := _bare(identifier)):
        return None
    longer = [name for name in known if name.startswith(text)]
    shorter = [name for name in known if text.startswith(name)]
    like = difflib.get_close_matches(text, longer or shorter or known, n=1, cutoff=0.0 if longer or shorter else 0.6)
    return known[like[0]] if like else None


def _bare(identifier: str) -> str:
    """Letters, digits and pluses alone."""
    return re.sub(r"[^a-z0-9+]", "", identifier.lower())


def licence_text(licence: Licence, parents: Sequence[Parent]) -> str:
    """LICENSE.md of a release whose licence is `other`."""
    lines = [f"# Licence\n\nNo single licence covers this repository: {licence.reason}.\n\nIt is made from:\n"]
    for parent in parents:
        revision = f" at `{parent.revision}`" if parent.revision else ""
        where = parent.licence_link or parent.link
        link = f" ({where})" if where else ""
        lines.append(f"- {parent.role}: {parent.name}{revision}, licence {parent.licence or 'unknown'}{link}")
    return "\n".join([*lines, "\nEach part stays under its own terms; find out before you use it.", ""])
