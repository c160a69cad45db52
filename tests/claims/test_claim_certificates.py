"""Certificates of claims about models: complete, signed, read strictly, decided again, and shown safely."""

import json
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

from assay.claims.page.page import render_claim_page
from assay.claims.reading import decide_again, is_claim, parse_claim, read_any
from assay.claims.replay import replay_claim
from assay.claims.terminal import render_claim
from assay.cli.main import app
from assay.errors import InputError
from assay.report.absence import null_paths
from assay.report.certificate import certificate_bytes, certificate_identity
from assay.report.replay import Holds
from assay.report.signing import sign
from assay.report.store import save_run
from tests.claims.synthetic_claims import claimed

KINDS = {
    "accepted": ({}, "ACCEPT"),
    "one seed": ({"seeds": 1}, "ACCEPT"),
    "relative": ({"margin": "5%"}, "ACCEPT"),
    "worse": ({"difference": 0.5}, "REJECT"),
    "dearer": ({"ratio": 1.3}, "REJECT"),
    "undecided": ({"difference": 0.1}, "INCONCLUSIVE"),
    "crashed": ({"failed": True}, "REJECT"),
}


@pytest.fixture(params=KINDS, ids=str)
def kind(request):
    more, verdict = KINDS[request.param]
    return claimed(**more), verdict


def forged(claim, **changes):
    """With its identity and a signature of our own made anew, as anybody can."""
    changed = {**claim, **changes}
    changed["identity"] = certificate_identity(changed)
    return sign(changed)


def test_a_certificate_is_read_again_and_its_evidence_gives_the_verdict(kind):
    claim, verdict = kind
    again = parse_claim(certificate_bytes(claim), "memory")
    assert again == json.loads(json.dumps(claim))
    assert decide_again(again).verdict.value == again["verdict"] == verdict


def test_every_null_has_a_reason(kind):
    claim, _ = kind
    assert set(null_paths({k: v for k, v in claim.items() if k != "missing"})) == set(claim["missing"])
    assert all(claim["missing"].values())


def test_the_page_needs_no_network_and_escapes_what_models_say(kind):
    claim, verdict = kind
    page = render_claim_page(claim)
    assert verdict in page
    assert "<script" not in page
    assert "\x1b" not in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?https?:", page)


def test_pictures_are_drawn_of_known_numbers_only():
    assert render_claim_page(claimed()).count("<svg") == 4
    assert render_claim_page(claimed(failed=True)).count("<svg") == 2


def test_the_terminal_shows_verdict_costs_and_limits_without_control_characters(kind):
    claim, verdict = kind
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        render_claim(claim, None, console)
    text = captured.get()
    assert verdict in text
    assert "throughput" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda claim: claim.pop("quality"), "quality is missing"),
        (lambda claim: claim["costs"]["size"].pop("ratio"), "ratio is missing"),
        (lambda claim: claim["evidence"]["samples"]["wall_ns"].pop(), "damaged"),
        (lambda claim: claim["evidence"]["samples"]["wall_ns"].__setitem__(0, [1]), "damaged"),
        (lambda claim: claim["evidence"]["losses"]["cheap"].pop(), "damaged"),
        (lambda claim: claim["settings"].update(margin="0"), "damaged"),
        (lambda claim: claim["settings"].update(costs=["money"]), "damaged"),
        (lambda claim: claim.update(verdict="MAYBE"), "MAYBE"),
        (lambda claim: claim.update(version=3), "newer Assay"),
        (lambda claim: claim.update(version=True), "damaged"),
        (lambda claim: claim.update(created="noon"), "damaged"),
        (lambda claim: claim.update(schema="assay-certificate"), "damaged"),
    ],
)
def test_a_certificate_that_makes_no_sense_is_refused(change, words):
    claim = json.loads(json.dumps(claimed()))
    change(claim)
    with pytest.raises(InputError, match=words):
        parse_claim(certificate_bytes(forged(claim)), "memory")


def test_a_changed_certificate_is_refused():
    content = certificate_bytes(claimed()).replace(b'"ACCEPT"', b'"REJECT"')
    with pytest.raises(InputError, match="changed after it was written"):
        parse_claim(content, "memory")


def test_a_verdict_or_a_number_that_the_evidence_does_not_give_does_not_hold():
    claim = claimed(difference=0.5)
    assert replay_claim(claim, None, lambda *_: None).holds is Holds.UNDECIDED
    assert replay_claim(forged(claim, verdict="ACCEPT"), None, lambda *_: None).holds is Holds.NO
    better = forged(claim, quality={**claim["quality"], "upper": 0.0})
    assert replay_claim(better, None, lambda *_: None).holds is Holds.NO


def test_an_unsigned_certificate_does_not_hold():
    claim = {key: value for key, value in claimed().items() if key != "signature"}
    assert replay_claim(claim, None, lambda *_: None).holds is Holds.NO


def asked(*arguments):
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_claims_stand_among_other_runs_and_are_shown_and_verified(tmp_path):
    claim = claimed(difference=0.5)
    run = save_run(tmp_path / "runs", claim, render_claim_page(claim))
    assert is_claim(read_any(run.certificate))
    (row,) = json.loads(asked("runs", "--runs", tmp_path / "runs", "--json").stdout)["runs"]
    assert (row["verdict"], row["candidate"]) == ("REJECT", "cheap")
    assert "inferior" in asked("show", "latest", "--runs", tmp_path / "runs").stdout
    with pytest.raises(InputError, match="cannot be compared"):
        asked("compare", "latest", "latest", "--runs", tmp_path / "runs")
    done = asked("verify", run.certificate, "--json")
    assert (done.exit_code, json.loads(done.stdout)["holds"]) == (3, "undecided")
    with pytest.raises(InputError, match="all three"):
        asked("verify", run.certificate, "--dense", "dense")


def test_the_command_line_loads_torch_only_for_verbs_that_need_it():
    import subprocess
    import sys

    code = "import assay.cli.main, sys; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
