"""A certificate as one HTML file for people: no network, no script, readable on a desk, on a phone and on paper.

Candidates, tasks and whoever wrote the certificate are hostile here. Every value is escaped by the template engine,
what cannot be seen is shown (`hostile`), and a content policy in the page forbids to load or run anything. The page
shows what a certificate says; whether that is so is for `assay verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.report import drawing
from assay.report.explain import FAMILIES, LAYERS, TIERS, VERDICTS, shape_text
from assay.report.hostile import shown
from assay.report.signing import check_signature
from assay.report.terminal import right_text, speedup_text
from assay.report.units import bytes_text, digits, plural, ratio_text, seconds_text, time_text

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_LINES = 4000
"""Lines of one source file that a page shows; the certificate has them all."""

_EFFECTS = {"fatal": "rejects", "doubt": "forbids acceptance", "note": "for information"}
_FAULTS = {
    "user": "for whoever gave the command",
    "task": "for the task's author",
    "candidate": "for the candidate's author",
    "machine": "for whoever runs this machine",
    "assay": "a defect of Assay",
}
_SYMBOLS = {"ACCEPT": "✓", "REJECT": "✗", "INCONCLUSIVE": "?"}


def render_page(certificate: Mapping[str, Any]) -> str:
    """The page of a certificate that `make_certificate` made or `read_certificate` checked."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    return environment.get_template("page.html.jinja").render(view(certificate))


def view(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows, as plain values and pictures."""
    return {
        "certificate": certificate,
        "verdict": certificate["verdict"],
        "symbol": _SYMBOLS[certificate["verdict"]],
        "headline": _headline(certificate),
        "reason": _reason(certificate),
        "facts": _facts(certificate),
        "findings": _findings(certificate),
        "figures": drawing.figures(certificate),
        "coverage": _coverage(certificate),
        "layers": _layers(certificate),
        "audit": _audit(certificate),
        "machine": _machine(certificate),
        "sources": [_source(certificate, part) for part in ("candidate", "task")],
        "signature": _signature(certificate),
        "missing": certificate["missing"],
        "time_text": time_text,
    }


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _headline(certificate: Mapping[str, Any]) -> str:
    speedup = certificate["speedup"]
    if certificate["right"] is False:
        return "not right"
    if speedup is None:
        return "speed not known"
    ratio = speedup["ratio"]
    return f"{ratio_text(ratio)} as fast" if certificate["verdict"] != "INCONCLUSIVE" else f"about {ratio_text(ratio)}"


def _reason(certificate: Mapping[str, Any]) -> str:
    """The finding that decided; for an acceptance, what the verdict means."""
    for weight in ("fatal", "doubt"):
        for finding in certificate["findings"]:
            if finding["weight"] == weight:
                return str(finding["message"])
    return f"{VERDICTS[certificate['verdict']]}".capitalize() + "."


def _facts(certificate: Mapping[str, Any]) -> list[tuple[str, str]]:
    baseline, isolation, machine = (certificate[part] for part in ("baseline", "isolation", "machine"))
    facts = [("Right", right_text(certificate)), ("Speedup", speedup_text(certificate))]
    if baseline is not None:
        facts.append(("Against", f"{baseline['variant']}, by PyTorch {certificate['environment'].get('torch')}"))
    if isolation is not None:
        facts.append(("Isolation", f"{isolation['tier']}: {TIERS.get(isolation['tier'], '')}"))
    cores = machine.get("cores")
    facts.append(("Measured on", f"{machine.get('cpu_model') or 'an unknown processor'}, {cores} cores"))
    facts.append(("When", f"{certificate['created']}, in {seconds_text(certificate['seconds'])}"))
    return facts


def _findings(certificate: Mapping[str, Any]) -> list[dict[str, Any]]:
    order = list(_EFFECTS)
    ranked = sorted(certificate["findings"], key=lambda finding: order.index(finding["weight"]))
    return [
        {
            **finding,
            "effect": _EFFECTS[finding["weight"]],
            "whose": _FAULTS.get(finding["fault"] or "", ""),
            "witness": [(key, _short(value)) for key, value in finding["data"].items()],
        }
        for finding in ranked
    ]


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


def _layers(certificate: Mapping[str, Any]) -> list[tuple[bool, str, str]]:
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


def _machine(certificate: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = certificate["machine"]
    caches = [f"L{c['level']} {c['kind']} {bytes_text(c['size_bytes'])}" for c in facts.get("caches") or ()]
    rows: list[tuple[str, Callable[[Any], str]]] = [
        ("cpu_model", str), ("cores", str), ("cpu_quota", str), ("memory_total_bytes", bytes_text), ("hypervisor", str),
        ("container", str), ("load_average", str), ("cpu_pressure", lambda share: f"{share:.0%} of the last 10 s"),
    ]  # fmt: skip
    shown_rows = [(key.removesuffix("_bytes").replace("_", " "), _fact(certificate, key, words)) for key, words in rows]
    versions = [(name, version or "not known") for name, version in certificate["environment"].items()]
    return [*shown_rows, ("caches", ", ".join(caches) or "not known"), *versions]


def _fact(certificate: Mapping[str, Any], key: str, words: Callable[[Any], str]) -> str:
    value = certificate["machine"].get(key)
    if value is None:
        return f"not known: {certificate['missing'].get(f'machine.{key}', 'no reason given')}"
    return words(value) if isinstance(value, str | int | float) else _short(value)


def _source(certificate: Mapping[str, Any], part: str) -> dict[str, Any]:
    source = certificate[part]
    files = []
    for file in source["files"]:
        lines = file["text"].splitlines()
        files.append({"path": file["path"], "lines": lines[:_MOST_LINES], "more": max(len(lines) - _MOST_LINES, 0)})
    about = [("entry", source["entry"]), ("identity", source["identity"])]
    if part == "candidate":
        about += [("language", source["language"]), ("flags", " ".join(source["flags"]) or "none")]
        about += [(name, source[name]) for name in ("proposer", "parent") if source[name]]
    else:
        about += [("format", source["format"]), ("profile", source["profile"])]
    return {"part": part, "name": source["name"], "files": files, "about": about}


def _signature(certificate: Mapping[str, Any]) -> str:
    check = check_signature(certificate)
    if check.valid:
        return f"Signed with the Ed25519 key {check.fingerprint}; the signature was valid when this page was made."
    return f"No valid signature: {check.reason}."


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 400 else f"{text[:399]}…"
