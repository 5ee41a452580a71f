"""The witnesses of a fetched release: upstream's signatures, the distribution's lists, announced digests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.sources.distribution import Distribution
from workers.sources.outcome import Missed
from workers.updates import signatures
from workers.updates.model import Lies, Offer
from workers.updates.rules import KEYS, Rule
from workers.updates.signatures import Verdict
from workers.updates.web import SIGNATURE_LIMIT, Reader


@dataclass(frozen=True)
class Court:
    """Where signatures come from and what they are checked against.

    sigstore_root: a trusted root of one's own instead of the library's. keys: directories of OpenPGP keys, the first
    that has a file counts.
    """

    reader: Reader
    cache: Path
    distribution: Callable[[], Distribution]
    sigstore_root: Path | None = None
    keys: tuple[Path, ...] = (KEYS,)


def verdicts(offer: Offer, path: Path, rule: Rule, court: Court) -> list[Verdict]:
    """What each witness says, upstream's own first. Raises Missed when upstream's server keeps its signature back."""
    if offer.kind == "index":
        return [Verdict("digest", "good", "the index's client checked the digest that the index names")]
    found: list[Verdict] = []
    if rule.sigstore is not None:
        bundle = _beside(offer, rule.sigstore.suffix, court)
        if isinstance(bundle, bytes):
            found.append(signatures.sigstore(path, bundle, rule.sigstore, court.sigstore_root))
        else:
            found.append(Verdict("sigstore", *bundle))
    if rule.pgp is not None:
        signature = _beside(offer, rule.pgp.suffix, court)
        if isinstance(signature, bytes):
            found.append(signatures.pgp(path, signature, rule.pgp, _place(court.keys, rule.pgp.keys)))
        else:
            found.append(Verdict("pgp", *signature))
    if rule.unsigned:
        found.append(Verdict("none", "none", f"signature: none ({rule.unsigned})"))
    if offer.kind == "distribution":
        said = f"the distribution's signed lists name these bytes ({offer.where})"
        found.append(Verdict("distribution", "good", said))
    elif (named := announced(offer)) is not None:
        algorithm, _ = named
        found.append(Verdict("digest", "good", f"the {algorithm} is the one that {offer.where} names"))
    return found


def announced(offer: Offer) -> tuple[str, str] | None:
    """The algorithm and the digest that the list names, where it is one that a file can be held against."""
    algorithm, _, digest = offer.digest.partition(":")
    return (algorithm, digest.lower()) if algorithm in {"sha256", "sha3_256", "sha512"} and digest else None


def _place(directories: tuple[Path, ...], name: str) -> Path:
    return next((one for one in directories if (one / name).is_file()), directories[-1])


Absent = tuple[Literal["missing", "unchecked"], str]


def _beside(offer: Offer, suffix: str, court: Court) -> bytes | Absent:
    """The signature beside an offered file, or what its absence means.

    Raises Missed where upstream's server does not say whether there is one: whoever has that server in his hand could
    else have a file taken by refusing its signature.
    """
    if offer.kind == "distribution":
        # What it carries is named by its own custom, whatever upstream's ending is; Sigstore's bundles it has none of.
        if not offer.signature or suffix == ".sigstore":
            return "unchecked", f"not checkable here: the distribution does not carry upstream's {suffix}"
        return _carried(offer, court)
    if offer.kind == "offline":
        path = Path(offer.url + suffix)
        if path.is_file() and path.stat().st_size <= SIGNATURE_LIMIT:
            return path.read_bytes()
        return "unchecked", f"not checkable here: the offline directory has no {path.name}"
    try:
        if court.reader.exists(offer.url + suffix):
            return court.reader.text(offer.url + suffix, SIGNATURE_LIMIT)[0]
    except Missed as missed:
        if offer.kind == "upstream":
            raise Missed(f"its signature can't be had: {missed}") from missed
        return "unchecked", f"not checkable here: {missed}"
    if offer.kind == "upstream":
        return "missing", f"there is no {suffix} beside it"
    return "unchecked", f"not checkable here: no {suffix} beside it"


def _carried(offer: Offer, court: Court) -> bytes | Absent:
    """Upstream's signature as the distribution carries it."""
    place = court.cache / "partial" / f"{offer.package}-{offer.version}.asc"
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        listed = next((one for one in court.distribution().everything()[0] if one.url == offer.signature), None)
        if listed is None:
            return "unchecked", "not checkable here: the distribution does not list the signature any more"
        court.distribution().fetch(listed, place)
        return place.read_bytes()
    except Missed as missed:
        return "unchecked", f"not checkable here: {missed}"
    finally:
        place.unlink(missing_ok=True)


def weigh(found: list[Verdict]) -> None:
    """Raises Lies when a witness speaks against the file, or upstream's word is missing where it always gives it."""
    bad = [one for one in found if one.state == "bad"]
    if bad:
        raise Lies("; ".join(one.said for one in bad))
    own = [one for one in found if one.kind in {"sigstore", "pgp"}]
    if not any(one.state == "good" for one in own) and any(one.state == "missing" for one in own):
        raise Lies("upstream signs its releases, and not this one: " + "; ".join(one.said for one in own))
