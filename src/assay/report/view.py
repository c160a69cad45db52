"""What the page's template shows, as plain values and pictures: the words and their order are decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.report import drawing
from assay.report.explain import FAMILIES, LAYERS, TIERS, VERDICTS, WEIGHTS, shape_text
from assay.report.highlight import highlighted
from assay.report.signing import check_signature
from assay.report.terminal import decisive_code, device_text, effect_text, right_text, speedup_text
from assay.report.units import bytes_text, digits, plural, ratio_text, seconds_text, sentence

_MOST_LINES = 4000
"""Lines of one source file that a page shows; the certificate has them all."""

SYMBOLS = {"ACCEPT": "✓", "REJECT": "✗", "INCONCLUSIVE": "?"}
"""Of a verdict."""


def view(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The template's variables, for a certificate that was made here or checked by its reader."""
    return {
        "certificate": certificate,
        "verdict": certificate["verdict"],
        "symbol": SYMBOLS[certificate["verdict"]],
        "headline": _headline(certificate),
        "reason": reason(certificate),
        "facts": facts(certificate),
        "findings": findings(certificate),
        "claimed": _claimed(certificate),
        "figures": drawing.figures(certificate),
        "coverage": _coverage(certificate),
        "layers": layers(certificate),
        "audit": _audit(certificate),
        "machine": machine(certificate),
        "sources": [_source(certificate, part) for part in ("candidate", "task")],
        "signature": signature_text(certificate),
        "missing": certificate["missing"],
    }


def _headline(certificate: Mapping[str, Any]) -> str:
    speedup = certificate["speedup"]
    if certificate["right"] is False:
        return decisive_code(certificate).replace("-", " ")
    if speedup is None:
        return "speed not known"
    ratio = speedup["ratio"]
    if certificate["verdict"] == "INCONCLUSIVE":
        return "speed not proved"
    return f"{ratio_text(ratio).removesuffix('x')} times as fast"


def reason(certificate: Mapping[str, Any]) -> str:
    """The finding that decided; for an acceptance, what the verdict means."""
    for weight in ("fatal", "doubt"):
        for finding in certificate["findings"]:
            if finding["weight"] == weight:
                return sentence(finding["message"])
    return sentence(VERDICTS[certificate["verdict"]])


def facts(certificate: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a certificate says, in a few lines of name and words."""
    baseline, isolation, machine = (certificate[part] for part in ("baseline", "isolation", "machine"))
    found = [("Right", right_text(certificate)), ("Speedup", speedup_text(certificate))]
    if baseline is not None:
        found.append(("Against", f"{baseline['variant']}, by PyTorch {certificate['environment'].get('torch')}"))
    if isolation is not None:
        found.append(("Isolation", f"{isolation['tier']}: {TIERS.get(isolation['tier'], '')}"))
    cores = machine.get("cores")
    host = f"{machine.get('cpu_model') or 'an unknown processor'}, {cores} cores"
    device = device_text(certificate)
    found.append(("Measured on", f"{device}, in a machine with {host}" if device else host))
    found.append(("When", f"{moment(certificate['created'])}, in {seconds_text(certificate['seconds'])}"))
    return found


def moment(created: str) -> str:
    """A certificate's time, for people."""
    return created.replace("T", " ").replace("Z", " UTC")


def findings(certificate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings by weight, each with what it does and its witness."""
    order = list(WEIGHTS)
    ranked = sorted(certificate["findings"], key=lambda finding: order.index(finding["weight"]))
    return [
        {
            **finding,
            "message": sentence(finding["message"]),
            "effect": effect_text(finding),
            "witness": [(key, _short(value)) for key, value in finding["data"].items()],
        }
        for finding in ranked
    ]


def _claimed(certificate: Mapping[str, Any]) -> str:
    """What the statistics concluded, in their own words, and from how many turns."""
    claim = certificate["claim"]
    if claim is None:
        return ""
    drops = claim["drops"]
    compared = f" {drops['kept']} of {plural(drops['turns'], 'turn')} were compared." if drops else ""
    return sentence(claim["message"]) + compared


def _coverage(certificate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Families as columns, shapes as rows; None where nothing was verified."""
    done = certificate["correctness"]
    if done is None or not done["families"]:
        return None
    names = list(done["families"])
    grants = [[v for k, v in done["budgets"].items() if k.rpartition("/")[0] == name] for name in names]
    return {
        "families": [{"name": name, "meaning": FAMILIES.get(name, "")} for name in names],
        "timed": shape_text(certificate["axes"]),
        "shapes": [shape_text(shape) for shape in done["shapes"]],
        "budgets": [", ".join(digits(grant, 2) for grant in granted) or "exact" for granted in grants],
        "dropped": done["dropped_families"],
        "calls": plural(done["verified_calls"], "output"),
        "oracle": done["oracle"],
        "complete": certificate["right"] is True,
    }


def layers(certificate: Mapping[str, Any]) -> list[tuple[bool, str, str]]:
    """Layers of confinement: whether each held, in words and by name."""
    isolation = certificate["isolation"]
    if isolation is None:
        return []
    states = [(True, name) for name in isolation["held"]] + [(False, name) for name in isolation["missing"]]
    return [(held, LAYERS.get(name, name), name) for held, name in states]


def _audit(certificate: Mapping[str, Any]) -> list[dict[str, Any]]:
    trivial = certificate["audit"]["trivial"] if certificate["audit"] else []
    return [
        {
            "answer": each["answer"],
            "passes": ", ".join(each["passes_on"]) or "nothing",
            "fails": ", ".join(each["fails_on"]) or "nothing",
            "degenerate": bool(each["passes_on"]) and not each["fails_on"],
        }
        for each in trivial
    ]


def machine(certificate: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the machine is, and versions."""
    facts = certificate["machine"]
    caches = [f"L{c['level']} {c['kind']} {bytes_text(c['size_bytes'])}" for c in facts.get("caches") or ()]
    rows: list[tuple[str, str, Callable[[Any], str]]] = [
        ("Processor", "cpu_model", str), ("Usable cores", "cores", str), ("Quota of cores", "cpu_quota", str),
        ("Memory", "memory_total_bytes", bytes_text), ("Hypervisor", "hypervisor", str),
        ("Container", "container", str),
        ("Load", "load_average", str), ("Waiting for a core", "cpu_pressure", lambda share: f"{share:.0%} of the time"),
    ]  # fmt: skip
    versions = [(name, version or "not known") for name, version in certificate["environment"].items()]
    device = device_text(certificate)
    return [
        *([("GPU", device)] if device else []),
        *((name, _fact(certificate, key, words)) for name, key, words in rows),
        ("Caches", ", ".join(caches) or "not known"),
        *versions,
    ]


def _fact(certificate: Mapping[str, Any], key: str, words: Callable[[Any], str]) -> str:
    value = certificate["machine"].get(key)
    if value is None:
        return str(certificate["missing"].get(f"machine.{key}", "not known, and no reason given"))
    return words(value) if isinstance(value, str | int | float) else _short(value)


def _source(certificate: Mapping[str, Any], part: str) -> dict[str, Any]:
    source = certificate[part]
    files = []
    for file in source["files"]:
        lines = highlighted(file["path"], file["text"])
        files.append({"path": file["path"], "lines": lines[:_MOST_LINES], "more": max(len(lines) - _MOST_LINES, 0)})
    about = [("entry", source["entry"]), ("identity", source["identity"])]
    if part == "candidate":
        about += [("language", source["language"]), ("flags", " ".join(source["flags"]) or "none")]
        about += [(name, source[name]) for name in ("proposer", "parent") if source[name]]
    else:
        about += [("format", source["format"]), ("profile", source["profile"])]
    return {"part": part, "name": source["name"], "files": files, "about": about}


def signature_text(certificate: Mapping[str, Any]) -> str:
    """What the signature says, in words."""
    check = check_signature(certificate)
    if check.valid:
        return f"Signed with the Ed25519 key {check.fingerprint}; the signature was valid when this page was made."
    return f"No valid signature: {check.reason}."


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 400 else f"{text[:399]}…"
