"""Whether the keys of a Sigstore root were in force when something was signed: the library looks at none of their ends.

An authority or a log whose key is lost or stolen is not taken out of the root, since what it vouched for before stays
true: it gets an end. https://github.com/sigstore/protobuf-specs has it in `TrustedRoot`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

Named = Mapping[str, Any]


def out_of_force(root: Named, leaf: x509.Certificate, log_key: str) -> str:
    """Which of those who vouch had no valid key when the certificate was issued, in words; "" when all had.

    root: the trusted root as JSON. log_key: the id of the log's key in base64, as bundles have it. A certificate lives
    for minutes, so that its begin stands for the time of the signature.
    """
    at = leaf.not_valid_before_utc
    issuers = [one["validFor"] for one in root.get("certificateAuthorities", []) if _issued(one, leaf)]
    logs = [_period(one) for one in root.get("tlogs", []) if one["logId"]["keyId"] == log_key]
    stamps = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    known = {base64.b64encode(one.log_id).decode() for one in stamps}
    listed = [_period(one) for one in root.get("ctlogs", []) if one["logId"]["keyId"] in known]
    for what, periods in {"authority": issuers, "log": logs, "log of certificates": listed}.items():
        if not any(_within(period, at) for period in periods):
            return f"the root has no {what} for it whose key was in force on {at:%Y-%m-%d}"
    return ""


def _issued(authority: Named, leaf: x509.Certificate) -> bool:
    """Whether one of the authority's certificates signed the leaf."""
    for one in authority["certChain"]["certificates"]:
        try:
            leaf.verify_directly_issued_by(x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"])))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _period(log: Named) -> Named:
    period: Named = log["publicKey"].get("validFor") or {}
    return period


def _within(period: Named, at: datetime) -> bool:
    start, end = period.get("start"), period.get("end")
    return (not start or datetime.fromisoformat(start) <= at) and (not end or at <= datetime.fromisoformat(end))
