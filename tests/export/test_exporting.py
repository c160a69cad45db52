"""From a module to a compared program: the Game of Life, digits, ONNX, and a program that is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import exact_life, life, life_step, random_network
from torch import nn

from assay.errors import InputError
from assay.export.agreement import Case, compare
from assay.export.c99.program import write_program
from assay.export.checking import built
from assay.export.exporting import Data, ExportSettings, export_c99, export_onnx, networks
from assay.export.network import Network
from assay.export.onnx_file import run_onnx, write_onnx
from assay.export.reference import compute

PATCH = torch.zeros(1, 1, 3, 3)


def patches():
    return torch.tensor([[n >> b & 1 for b in range(9)] for n in range(512)]).float().view(-1, 1, 3, 3)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("decides", [False, True])
def test_the_game_of_life_is_right_on_all_512_patches(bits, decides):
    data = Data(PATCH, patches())
    found = export_c99(exact_life(), data, ExportSettings(bits=bits, decides=decides, binary=True))
    assert found.agreement.accepted
    assert found.agreement.is_every_input
    assert (found.agreement.inputs, found.agreement.decisions, found.agreement.other_decisions) == (512, 512, 0)
    with built(found.program) as host:
        outputs = host.run_binary(0, 512)
    scale = found.case.integer.output.scale if found.case.integer else 1
    alive = outputs if decides else outputs * scale > 0.5
    rule = life_step(patches().numpy()[:, 0])[:, 1, 1]
    assert np.array_equal(alive.ravel(), rule)


@pytest.mark.parametrize("bits", [8, 32])
def test_a_whole_board_wraps_around_as_the_rule_does(bits):
    boards = (torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.38).float()
    found = export_c99(exact_life(board=32), Data(boards, boards), ExportSettings(bits=bits))
    assert found.agreement.accepted
    assert (found.agreement.decisions, found.agreement.other_decisions) == (3 * 1024, 0)
    with built(found.program) as host:
        given = boards.numpy() if bits == 32 else found.case.integer.takes.quantise(boards.numpy())
        outputs = host.run(given)
    alive = outputs * (1 if bits == 32 else found.case.integer.output.scale) > 0.5
    assert np.array_equal(alive.reshape(3, 32, 32), life_step(boards.numpy()[:, 0]))


def test_a_network_pruned_to_fifty_weights_is_straight_line_code():
    torch.manual_seed(3)
    model = life(16)
    with torch.no_grad():
        flat = torch.cat([model[at].weight.abs().flatten() for at in (0, 2, 4)])
        for at in (0, 2, 4):
            model[at].weight *= model[at].weight.abs() >= flat.sort().values[-50]
    found = export_c99(model, Data(PATCH, patches()), ExportSettings(binary=True))
    assert found.agreement.accepted
    assert found.agreement.other_decisions == 0
    assert found.case.read.weights[0] == 50
    assert found.program.source.count("a += ") == found.case.lean.weights[0] <= 50
    assert set(found.program.forms.values()) == {"unrolled"}


def test_a_program_with_another_weight_is_rejected():
    case = networks(exact_life(), PATCH, False)
    conv = case.lean.layers[0].operation
    other = conv.weight.copy()
    other[0, 0, 0, 0] += 1e-2
    changed = replace(case.lean.layers[0], operation=replace(conv, weight=other))
    wrong = write_program(Network(case.lean.takes, (changed, *case.lean.layers[1:])))
    with built(wrong) as host:
        agreement = compare(host, case, exact_life(), None)
    assert not agreement.accepted
    assert agreement.largest_difference > agreement.bound


def test_an_integer_program_with_another_weight_is_rejected():
    found = export_c99(exact_life(), Data(PATCH, patches()), ExportSettings(bits=8, binary=True))
    integer = found.case.integer
    conv = integer.network.layers[0].operation
    other = conv.weight.copy()
    other[0, 0, 0, 0] += 20
    changed = replace(integer.network.layers[0], operation=replace(conv, weight=other))
    network = replace(integer.network, layers=(changed, *integer.network.layers[1:]))
    with built(write_program(replace(integer, network=network))) as host:
        agreement = compare(host, found.case, exact_life(), None)
    assert agreement.wrong_bits > 0
    assert not agreement.accepted


def test_decisions_that_differ_are_counted_and_targets_scored():
    torch.manual_seed(0)
    model, x = nn.Linear(6, 3), torch.randn(40, 6)
    case = networks(model, x, True)
    right = model(x).argmax(1).numpy()
    agreement = compare(lambda given: (right[: len(given), None] + 1) % 3, case, model, x.numpy(), right)
    assert (agreement.other_decisions, agreement.right_before, agreement.right) == (40, 40, 0)
    assert not agreement.accepted


def test_too_many_binary_inputs_are_refused():
    with pytest.raises(InputError, match="too many binary inputs"):
        export_c99(nn.Linear(26, 1), Data(torch.zeros(1, 26), torch.zeros(1, 26)), ExportSettings(binary=True))


def test_a_width_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="no such width"):
        ExportSettings(bits=4)


@pytest.mark.parametrize("seed", range(10))
def test_an_onnx_model_computes_the_same_by_onnxs_reference(seed):
    pytest.importorskip("onnx")
    network, rng = random_network(seed)
    x = rng.normal(0, 1, (4, *network.takes)).astype(np.float32)
    found = run_onnx(write_onnx(network), x, network).reshape(4, -1)
    assert np.abs(found - compute(network, x)[-1].reshape(4, -1)).max() < 1e-4


@pytest.mark.parametrize("seed", range(10))
def test_an_onnx_model_computes_the_same_in_onnxruntime(seed):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    network, rng = random_network(seed)
    x = rng.normal(0, 1, (4, *network.takes)).astype(np.float32)
    session = runtime.InferenceSession(write_onnx(network), providers=["CPUExecutionProvider"])
    given = x.reshape(4, *session.get_inputs()[0].shape[1:])
    found = session.run(None, {"input": given})[0].reshape(4, -1)
    assert np.abs(found - compute(network, x)[-1].reshape(4, -1)).max() < 1e-4


def test_an_onnx_model_decides_as_the_module_does():
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    x = torch.randn(30, 5)
    for model in (nn.Sequential(nn.Linear(5, 4), nn.Softmax(-1)), nn.Sequential(nn.Linear(5, 1), nn.Sigmoid())):
        content, agreement = export_onnx(model, Data(x, x), ExportSettings(decides=True))
        assert agreement.accepted
        assert agreement.other_decisions == 0
        assert content
    with pytest.raises(InputError, match="float only"):
        export_onnx(nn.Linear(5, 4), Data(x, x), ExportSettings(bits=8))


def test_a_case_holds_what_was_read_and_what_is_exported():
    case = networks(life(), PATCH, True)
    assert isinstance(case, Case)
    assert case.read.decides
    assert case.lean.decides
