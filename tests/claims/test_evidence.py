"""From raw samples to ratios and a verdict, and what models do with their inputs, on numbers whose truth is known."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from assay.claims.causality import continued, looked_ahead
from assay.claims.cost import compare_costs
from assay.claims.decision import decide
from assay.claims.evidence import Evidence
from assay.claims.held_out import Batch, load_held_out
from assay.claims.operations import UnknownOperations, active_operations
from assay.claims.quality import Margin
from assay.claims.samples import Samples, TimedPair
from assay.claims.settings import ClaimSettings, Cost, parse_costs, parse_seeds
from assay.core.verdicts import Verdict
from assay.errors import InputError
from assay.sparse import SparseConv2d
from assay.sparse.unstructured import SparseLinear
from tests.claims.models import DATA, LANGUAGE_DATA, data_file

CLAIM = ClaimSettings(margin=Margin(0.1))


def samples(ratio, rounds=6, turns=8, noise=0.02, late=0, seed=0):
    """Throughput pairs with a true ratio of times; each process is a little faster or slower than the others."""
    random = np.random.default_rng(seed)
    pairs = []
    for number in range(rounds):
        process = np.exp(random.normal(0, noise))
        for _ in range(turns):
            dense = int(1e6 * np.exp(random.normal(0, noise)))
            cheap = int(dense * ratio * process)
            pairs.append(TimedPair(Cost.THROUGHPUT, number, (dense, cheap), (dense, cheap), (0, late)))
    return Samples(pairs, [(50 << 20, 20 << 20)] * rounds, [(1000, 250)])


def with_null_calls(own, of_a_call=150_000, scatter=5_000):
    """The same with what every call costs the judge itself; null calls scatter."""
    random = np.random.default_rng(5)
    pairs = []
    for pair in own.pairs:
        shell = [int(of_a_call + random.normal(0, scatter)) for _ in range(3)]
        times = (pair.cpu_ns[0] + shell[0], pair.cpu_ns[1] + shell[1])
        pairs.append(dataclasses.replace(pair, wall_ns=times, cpu_ns=times, null_ns=(shell[2], shell[2])))
    return dataclasses.replace(own, pairs=pairs)


def evidence(difference=0.0, ratio=0.5, again=(), **more):
    random = np.random.default_rng(1)
    dense = random.random((3, 12))
    cheap = dense + difference + random.normal(0, 0.001, (3, 12))
    return Evidence((dense.tolist(), cheap.tolist()), list(np.repeat([0, 1, 2], 4)), list(again),
                    samples(ratio, **more))  # fmt: skip


def codes(found):
    return [finding.code for finding in found.findings]


@pytest.mark.parametrize("ratio", [0.4, 0.9, 1.3])
def test_what_a_call_costs_the_judge_is_taken_off_both_times(ratio):
    held = 0
    for seed in range(40):
        found = compare_costs(with_null_calls(samples(ratio, seed=seed)), CLAIM, {})[Cost.THROUGHPUT]
        held += found.ratio.lower <= ratio <= found.ratio.upper
        assert found.overhead == pytest.approx(150_000, rel=0.02)
        assert found.dense == pytest.approx(1e6, rel=0.02)
        assert found.wall.ratio == pytest.approx(found.ratio.ratio)
    assert held >= 37  # of 40 intervals of 95 %


def test_what_is_not_known_of_the_judges_own_part_widens_the_interval():
    few, many = (compare_costs(with_null_calls(samples(0.4), scatter=scatter), CLAIM, {})[Cost.THROUGHPUT].ratio
                 for scatter in (1_000, 60_000))  # fmt: skip
    assert many.upper / many.lower > 1.1 * few.upper / few.lower


def test_nothing_is_taken_off_calls_that_are_hardly_longer_or_without_null_calls():
    plain = samples(0.1)
    short = compare_costs(with_null_calls(plain), CLAIM, {})[Cost.THROUGHPUT]
    assert short.overhead is None
    assert short.ratio.ratio == pytest.approx(0.25 / 1.15, rel=0.05)  # nearer to 1 than it is
    columns = plain.to_json()
    del columns["null_ns"]  # as certificates of version 1 have it
    assert compare_costs(Samples.from_json(columns), CLAIM, {}) == compare_costs(plain, CLAIM, {})


@pytest.mark.parametrize(
    ("found", "settings", "verdict", "code"),
    [
        (evidence(), CLAIM, Verdict.ACCEPT, "cheaper"),
        (evidence(), dataclasses.replace(CLAIM, at_most=0.4), Verdict.REJECT, "not-cheaper"),
        (evidence(), dataclasses.replace(CLAIM, at_most=0.5), Verdict.INCONCLUSIVE, "cost-undecided"),
        (evidence(ratio=1.2), CLAIM, Verdict.REJECT, "not-cheaper"),
        (evidence(difference=0.3), CLAIM, Verdict.REJECT, "inferior"),
        (evidence(difference=0.1), CLAIM, Verdict.INCONCLUSIVE, "quality-undecided"),
        (evidence(), dataclasses.replace(CLAIM, costs=(Cost.TRAINING,)), Verdict.INCONCLUSIVE, "cost-unknown"),
        (evidence(), dataclasses.replace(CLAIM, costs=(Cost.SIZE, Cost.MEMORY)), Verdict.ACCEPT, "cheaper"),
        (evidence(again=[0.0, 0.03]), CLAIM, Verdict.REJECT, "timed-differently"),
        (evidence(again=[-0.1, 0.1]), CLAIM, Verdict.ACCEPT, "cheaper"),
    ],
)
def test_verdicts_follow_from_evidence_by_fixed_rules(found, settings, verdict, code):
    decision = decide(found, settings, "units")
    assert decision.verdict is verdict
    assert code in codes(decision)
    again = decide(Evidence.from_json(found.to_json()), ClaimSettings.from_json(settings.to_json()), "units")
    assert again == decision


def test_a_claim_on_cpu_time_that_the_wall_clock_contradicts_is_not_accepted():
    found = evidence()
    found.samples.pairs = [dataclasses.replace(pair, wall_ns=(pair.wall_ns[0], 3 * pair.wall_ns[0]))
                           for pair in found.samples.pairs]  # fmt: skip
    decision = decide(found, CLAIM, "")
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "clocks-disagree" in codes(decision)


def test_intervals_of_ratios_hold_the_truth():
    found = [compare_costs(samples(0.5, seed=seed), CLAIM, {})[Cost.THROUGHPUT].ratio for seed in range(200)]
    assert np.mean([one.lower <= 0.5 <= one.upper for one in found]) > 0.9


def test_wall_time_leaves_out_pairs_that_waited_for_a_core():
    settings = dataclasses.replace(CLAIM, threads=2)
    assert compare_costs(samples(0.5), settings, {})[Cost.THROUGHPUT].ratio is not None
    waited = compare_costs(samples(0.5, late=10**6), settings, {})[Cost.THROUGHPUT]
    assert waited.ratio is None
    assert "waited for a core" in waited.reason


def test_a_process_that_met_too_few_new_inputs_gives_no_ratio():
    assert compare_costs(samples(0.5, turns=1), CLAIM, {})[Cost.THROUGHPUT].ratio is None


def test_a_peak_too_small_to_tell_is_not_known():
    small = Samples(peaks=[(1 << 16, 1 << 15)] * 4)
    assert "1 MiB" in compare_costs(small, CLAIM, {})[Cost.MEMORY].reason


@pytest.mark.parametrize(
    "change",
    [{"costs": ()}, {"costs": (Cost.SIZE, Cost.SIZE)}, {"at_most": 0.0}, {"at_most": 1.5}, {"rounds": 2}, {"turns": 1},
     {"threads": 0}, {"seeds": ()}, {"seeds": (1, 1)}],
)  # fmt: skip
def test_settings_that_decide_nothing_are_refused(change):
    with pytest.raises(InputError):
        dataclasses.replace(CLAIM, **change)


def test_names_of_costs_and_seeds_are_read_or_refused():
    assert parse_costs("latency, size") == (Cost.LATENCY, Cost.SIZE)
    assert parse_seeds("0,3") == (0, 3)
    for parse, text in ((parse_costs, "money"), (parse_seeds, "0,x")):
        with pytest.raises(InputError):
            parse(text)


def test_a_continuation_changes_only_what_comes_after_the_position():
    batch = Batch((torch.arange(12).reshape(3, 4), torch.ones(3, 2)), torch.zeros(3))
    changed, other = continued(batch, 2, 1)
    assert torch.equal(changed[:, :2], batch.inputs[0][:, :2])
    assert not torch.equal(changed[:, 2:], batch.inputs[0][:, 2:])
    assert torch.equal(other, batch.inputs[1])
    assert continued(batch, 2, 0) is None


def test_a_change_before_the_position_is_seen_above_rounding():
    before = torch.randn(3, 5, 7)
    after = before.clone()
    after[:, 3:] += 1
    assert looked_ahead(before, after, 3) is None
    assert looked_ahead(before, after * (1 + 1e-6), 3) is None
    assert looked_ahead(before, after, 4) > 0.3
    after[1, 0, 0] = float("inf")
    assert looked_ahead(before, after, 3) is not None
    with pytest.raises(InputError):
        looked_ahead(before[:, 0, 0], after[:, 0, 0], 1)


def test_a_mask_of_infinities_that_stays_is_no_look_ahead():
    before = torch.randn(2, 4, 3)
    before[..., 0] = float("-inf")
    assert looked_ahead(before, before.clone(), 2) is None


class Half(nn.Module):
    """Leaves half of its product out, and says so."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return self.inner(x)

    def active_operations(self, rows):
        return rows * 64


def test_operations_of_layers_that_count_for_themselves_replace_the_counters():
    x = torch.randn(2, 5, 8)
    assert active_operations(nn.Linear(8, 4), [x]) == 2 * 10 * 8 * 4
    assert active_operations(nn.Sequential(nn.Linear(8, 8), Half()), [x]) == 2 * 10 * 64 + 10 * 64


def test_operations_of_unstructured_layers_are_those_of_their_kept_weights():
    linear = SparseLinear.from_linear(nn.Linear(32, 20), 0.75)
    conv = SparseConv2d.from_conv2d(nn.Conv2d(3, 8, 3, stride=2, padding=1), 0.5)
    conv.relu, conv.pool = True, 2
    assert active_operations(linear, [torch.randn(2, 5, 32)]) == 2 * 10 * 160
    assert active_operations(nn.Sequential(conv), [torch.randn(4, 3, 9, 12)]) == 2 * 4 * 108 * 5 * 6


def test_an_operator_that_nobody_counts_is_named():
    @torch.library.custom_op("tests_claims::double", mutates_args=())
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    class Doubling(nn.Module):
        def forward(self, x):
            return double(x)

    with pytest.raises(UnknownOperations, match="tests_claims"):
        active_operations(Doubling(), [torch.ones(2)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DATA.replace("def held_out", "def other"), "no held_out"),
        (DATA.replace("def score", "def other"), "no score"),
        (DATA.replace("yield x, x[:, :4].sin()", "yield x"), "is no batch"),
        (DATA.replace("x[:, :4].sin()", "x[:3, :4]"), "is no batch"),
        (DATA.replace("range(4)", "range(0)"), "too few"),
        (DATA.replace("range(4)", "range(1)").replace("(64, 32", "(1, 32"), "too few"),
        (DATA.replace("torch.randn", "torch.missing"), "held_out\\(\\) fails"),
        (DATA.replace("x = torch", "x = 1j * torch"), "no model can receive"),
        (LANGUAGE_DATA.replace(":-1]", "0]"), "no positions"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_a_data_file_that_cannot_judge_is_refused_with_the_reason(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        load_held_out(data_file(tmp_path / "data.py", text))


def test_slices_of_a_text_become_tensors_of_their_own(tmp_path):
    (batch, *_) = load_held_out(data_file(tmp_path / "data.py", LANGUAGE_DATA)).batches
    assert batch.inputs[0].is_contiguous()
    assert batch.targets.is_contiguous()
    assert all(each.is_contiguous() for each in (*batch.one(3).inputs, batch.one(3).targets))


@pytest.mark.parametrize("change", [".mean()", ".double()[:3]", ".missing()"])
def test_a_score_that_gives_no_loss_for_each_example_is_refused(tmp_path, change):
    data = load_held_out(data_file(tmp_path / "data.py", DATA.replace(".mean(1)", ".mean(1)" + change)))
    with pytest.raises(InputError, match="score"):
        data.losses(torch.zeros(64, 4), data.batches[0])


def test_the_digest_of_data_covers_its_text_and_every_tensor(tmp_path):
    texts = (DATA, DATA + "\n", DATA.replace("manual_seed(3)", "manual_seed(4)"))
    digests = {load_held_out(data_file(tmp_path / f"data{i}.py", text)).digest() for i, text in enumerate(texts)}
    assert len(digests) == 3
