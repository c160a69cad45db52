"""Who may enter the archive: certificates that accept, that agree with themselves, and whose signature verifies.

Guaranteed of everything in the archive: somebody signed exactly this certificate, and it says ACCEPT with all that an
ACCEPT of the referee has. Not guaranteed: who that was (the fingerprint is kept beside it) and that it is true;
`assay verify` runs it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.config import Depth
from assay.core.verdicts import Verdict, Weight
from assay.errors import InputError
from assay.report.certificate import certificate_bytes, parse_certificate
from assay.report.signing import check_signature

RULE = "only a signed certificate that accepts enters the archive"


@dataclass(frozen=True, slots=True)
class Admissible:
    """A certificate that may enter, as it will be read back; `signed_by` is the fingerprint of the key that signed it.

    Made by `check_admissible` alone.
    """

    certificate: dict[str, Any]
    signed_by: str


def check_admissible(certificate: Mapping[str, Any], source: str) -> Admissible:
    """What may enter of a certificate that anybody can have written.

    `source` says in errors where it came from. Raises InputError, saying why, for what may not enter.
    """
    try:
        content = certificate_bytes(certificate)
    except (ValueError, TypeError) as error:
        raise _refused("This is not a certificate.", f"{source}: {error}") from error
    checked = parse_certificate(content, source)
    place = f"{source}: {checked['identity'][:12]}"
    if checked["verdict"] != Verdict.ACCEPT.value:
        raise _refused("The certificate does not accept its candidate.", f"{place} says {checked['verdict']}")
    contradiction = _contradiction(checked)
    if contradiction:
        raise _refused("The certificate accepts and contradicts itself.", f"{place}: {contradiction}")
    signature = check_signature(checked)
    if not signature.valid or signature.fingerprint is None:
        raise _refused("The certificate's signature does not verify.", f"{place}: {signature.reason}")
    return Admissible(checked, signature.fingerprint)


def _contradiction(certificate: Mapping[str, Any]) -> str:
    """What the referee never writes beside ACCEPT; empty where there is nothing such. Anybody can sign anything."""
    against = [f["code"] for f in certificate["findings"] if f["weight"] != Weight.NOTE.value]
    if against:
        return f"its finding {against[0]!r} forbids acceptance"
    if certificate["right"] is not True:
        return "it does not say that the outputs were right"
    if certificate["config"]["depth"] != Depth.FULL.value:
        return "a screening never accepts"
    speedup = certificate["speedup"]
    if speedup is None or not 1 < speedup["lower"] <= speedup["ratio"] <= speedup["upper"]:
        return "its speedup's interval does not lie above 1"
    if certificate["timing"] is None or certificate["correctness"] is None:
        return "it has no evidence of correctness or speed"
    return ""


def _refused(what: str, value: str) -> InputError:
    next_step = "Judge the candidate again (assay judge); the certificate of an ACCEPT can enter."
    return InputError(what, value=value[:300], rule=RULE, next_step=next_step)
