"""A certified kernel in a real model: where it serves, where the original does, and that nothing else changes."""

import copy
from dataclasses import replace

import pytest
import torch
from synthetic_certificates import CREATED, accepted, certified, of_kind
from torch import nn

from assay.applied.dispatch import Layout, Site, attach
from assay.applied.kernel import Calls, load_entry
from assay.applied.model import apply_certificates
from assay.build.cpp import CppBuilder
from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.codegen.generate import Schedule, generate
from assay.engineer.convert import convert
from assay.engineer.tracing import Tracing
from assay.errors import InputError
from assay.report.certificate import make_certificate
from assay.report.signing import sign

torch.manual_seed(0)


class Doubling:
    """In place of a loaded kernel: the same interface, and it leaves its mark."""

    def __init__(self):
        self.calls = Calls()

    def __deepcopy__(self, memo):
        return self

    def run(self, inputs, weights, outputs, scalars):
        outputs[0].copy_(inputs[0] * weights[0] + 1000.0)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16) * 2)

    def forward(self, x):
        return x * self.weight


def applied():
    model = nn.Sequential(Scale(), nn.ReLU())
    kernel = Doubling()
    x = torch.ones(4, 16)
    attach(model[0], Site(kernel, (Layout.of(x),), ("weight",), (Layout.of(x),), True))
    return model, kernel


def test_the_kernel_serves_calls_of_its_layout_without_gradients():
    model, kernel = applied()
    with torch.no_grad():
        assert float(model(torch.ones(4, 16))[0, 0]) == 1002.0
    assert (kernel.calls.certified, kernel.calls.original) == (1, 0)


@pytest.mark.parametrize(
    "x",
    [torch.ones(5, 16), torch.ones(4, 16, dtype=torch.float64), torch.ones(16, 4).T, torch.ones(4, 16).to_sparse()],
)
def test_the_original_serves_everything_else_and_the_reason_is_counted(x):
    model, kernel = applied()
    with torch.no_grad():
        assert float(model[0](x).to_dense().max()) == 2.0
    assert kernel.calls.certified == 0
    assert sum(kernel.calls.reasons.values()) == 1


def test_where_a_gradient_is_wanted_the_original_serves():
    model, kernel = applied()
    model(torch.ones(4, 16)).sum().backward()
    assert kernel.calls.reasons == {"a gradient is wanted": 1}
    assert model[0].weight.grad is not None


def test_the_state_is_the_same_and_can_be_loaded():
    model, _ = applied()
    other = nn.Sequential(Scale(), nn.ReLU())
    assert list(model.state_dict()) == list(other.state_dict())
    model.load_state_dict({"0.weight": torch.full((16,), 5.0)})
    with torch.no_grad():
        assert float(model(torch.ones(4, 16))[0, 0]) == 1005.0


def test_a_deep_copy_has_weights_of_its_own_and_the_same_counter():
    model, kernel = applied()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight.fill_(7.0)
        assert float(twin(torch.ones(4, 16))[0, 0]) == 1007.0
        assert float(model(torch.ones(4, 16))[0, 0]) == 1002.0
    assert kernel.calls.certified == 2


def test_several_kernels_in_one_process_stay_apart():
    def entry(builder, code):
        file = SourceFile("kernel.cpp", f'extern "C" int assay_kernel(const void*) {{ return {code}; }}')
        candidate = Candidate(f"returns {code}", Language.CPP, (file,), "assay_kernel")
        return load_entry(builder.build(candidate).content, candidate.entry)

    with CppBuilder() as builder:
        entries = [entry(builder, code) for code in (3, 4, 5)]
    assert [one(None) for one in entries] == [3, 4, 5]


def test_it_is_still_the_class_that_it_was():
    model, _ = applied()
    assert isinstance(model[0], Scale)
    assert type(model[0]).__name__ == "Scale"


def test_torch_compile_takes_it_as_one_operator():
    model, _ = applied()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert float(compiled(torch.ones(4, 16))[0, 0]) == 1002.0


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(64)

    def forward(self, x):
        return nn.functional.mish(self.norm(x)) * 2.0


def certificate_for(model, x, **changes):
    """As after an accepted judgement: the model's own graph, and the kernel that is generated for it."""
    converted = convert(model, (x,), "block")
    with Tracing() as tracing:
        candidate = generate(tracing.trace(converted.task), Schedule(), "block")
    judgement = replace(accepted(), task=converted.task, candidate=candidate, **changes)
    return sign(make_certificate(judgement, created=CREATED))


@pytest.fixture(scope="module")
def block_certificate():
    return certificate_for(Block().eval(), torch.randn(32, 64))


def test_a_certified_kernel_gives_a_model_the_same_results(block_certificate):
    model = nn.Sequential(nn.Linear(64, 64), Block(), Block()).eval()
    x = torch.randn(32, 64)
    with torch.no_grad():
        wanted = model(x)
        done = apply_certificates(model, [block_certificate], (x,))
        assert set(done.calls) == {"1", "2"}
        assert not done.unused
        torch.testing.assert_close(model(x), wanted)
        assert done.calls["1"].certified == 2
        torch.testing.assert_close(model(x[:5]), wanted[:5])
    assert done.calls["1"].original == 2


def test_a_certificate_that_fits_nowhere_is_named(block_certificate):
    model = nn.Sequential(nn.ReLU()).eval()
    done = apply_certificates(model, [block_certificate], (torch.randn(32, 64),))
    assert not done.calls
    assert done.unused == (block_certificate["identity"],)


def test_what_is_not_accepted_or_was_changed_is_refused(block_certificate):
    model, x = nn.Sequential(Block()).eval(), torch.randn(32, 64)
    for wrong in (of_kind("slow"), block_certificate | {"seconds": 1.0}):
        with pytest.raises(InputError):
            apply_certificates(model, [wrong], (x,))


def test_a_certificate_about_something_else_is_refused():
    with pytest.raises(InputError, match="part of a model"):
        apply_certificates(nn.Sequential(Block()).eval(), [certified()], (torch.randn(32, 64),))


def test_the_verb_is_a_function_whatever_was_imported():
    import assay
    import assay.applied.model

    assert callable(assay.apply)
    assert callable(assay.optimize)
