"""Block-sparse attention against F.scaled_dot_product_attention with the same mask, element by element, in float64."""

import pytest
import torch
from torch.nn import functional

from assay.errors import InputError
from assay.sparse import attention
from assay.sparse.attention import AttentionLayout, block_sparse_attention
from assay.sparse.attention_patterns import fixed, global_blocks, random_blocks, sliding_window, strided


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def elements(mask, block, queries, keys, is_causal):
    """The mask of every element of the scores."""
    wide = mask.repeat_interleave(block, -2).repeat_interleave(block, -1)[..., :queries, :keys]
    return wide & torch.ones(queries, keys, dtype=torch.bool).tril() if is_causal else wide


def expected(q, k, v, mask, block, is_causal=False, scale=None):
    """What SDPA gives, with zeros for queries that keep no key."""
    kept = elements(mask, block, q.shape[2], k.shape[2], is_causal)
    some = kept.any(-1, keepdim=True)
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=kept | ~some, scale=scale)
    return torch.where(some, found, 0)


def tensors(heads, queries, keys, dim=8, value_dim=8, batch=2):
    sizes = ((queries, dim), (keys, dim), (keys, value_dim))
    return [torch.randn(batch, heads, *size, dtype=torch.float64, requires_grad=True) for size in sizes]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("by_head", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(64, 64), (61, 61), (40, 75), (75, 40), (5, 3), (1, 64)])
def test_results_and_gradients_are_those_of_the_dense_mask(queries, keys, by_head, is_causal):
    block, heads = 8, 3
    for density in (0.2, 0.5, 1.0):
        shape = (-(-queries // block), -(-keys // block))
        mask = torch.rand(heads, *shape) < density if by_head else torch.rand(shape) < density
        q, k, v = tensors(heads, queries, keys, value_dim=5)
        ours = block_sparse_attention(q, k, v, mask, block=block, is_causal=is_causal, scale=0.3)
        theirs = expected(q, k, v, mask, block, is_causal, scale=0.3)
        assert torch.allclose(ours, theirs, atol=1e-12)
        slope = torch.randn_like(ours)
        for a, b in zip(
            torch.autograd.grad(ours, (q, k, v), slope, allow_unused=True, materialize_grads=True),
            torch.autograd.grad(theirs, (q, k, v), slope),
            strict=True,
        ):
            assert torch.allclose(a, b, atol=1e-11)


@pytest.mark.parametrize(
    "mask",
    [
        sliding_window(12, 2),
        sliding_window(12, 3, causal=True),
        strided(12, 4),
        fixed(12, 4, 2),
        global_blocks(12, 1) | sliding_window(12, 1),
        random_blocks(12, 3),
    ],
)
def test_patterns_attend_as_their_masks_say(mask, monkeypatch):
    q, k, v = tensors(2, 95, 95)
    for is_causal in (False, True):
        ours = block_sparse_attention(q, k, v, mask, block=8, is_causal=is_causal)
        assert torch.allclose(ours, expected(q, k, v, mask, 8, is_causal), atol=1e-12)
    monkeypatch.setattr(attention, "GATHERED_BYTES", 1)
    monkeypatch.setattr(attention, "RUN", 1 << 30)
    assert torch.allclose(block_sparse_attention(q, k, v, mask, block=8, is_causal=True), ours, atol=1e-12)


def test_patterns_keep_the_blocks_of_their_papers():
    assert sliding_window(4, 1).int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert sliding_window(3, 1, causal=True).int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert strided(6, 3)[5].int().tolist() == [0, 0, 1, 1, 1, 1]
    assert fixed(6, 3)[4].int().tolist() == [0, 0, 1, 1, 1, 0]
    assert global_blocks(3, 1).int().tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert random_blocks(9, 4).sum(1).tolist() == [4] * 9
    assert torch.equal(*(random_blocks(9, 4, torch.Generator().manual_seed(1)) for _ in range(2)))


def test_queries_that_keep_nothing_give_zeros_and_no_gradient():
    q, k, v = tensors(1, 24, 24)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    nothing = block_sparse_attention(q, k, v, mask, block=8)
    nothing.sum().backward()
    assert not nothing.any()
    assert not v.grad.any()
    mask[1, 2] = True  # after the query: a causal call drops it
    assert not block_sparse_attention(q, k, v, mask, block=8, is_causal=True).any()
    found = block_sparse_attention(q, k, v, mask, block=8)
    found.sum().backward()
    assert found[:, :, 8:16].all()
    assert not found[:, :, :8].any()
    assert not q.grad[:, :, :8].any()


def test_blocks_that_are_not_kept_are_not_read():
    q, k, v = (each.detach() for each in tensors(2, 32, 32))
    mask = sliding_window(4, 1)
    clean = block_sparse_attention(q, k, v, mask, block=8)
    k[:, :, 24:], v[:, :, 24:] = float("nan"), float("nan")
    assert torch.equal(block_sparse_attention(q, k, v, mask, block=8)[:, :, :16], clean[:, :, :16])


def test_an_attention_of_nothing_is_empty():
    q, k, v = tensors(2, 0, 16)
    assert block_sparse_attention(q, k, v, torch.ones(0, 2, dtype=torch.bool), block=8).shape == (2, 2, 0, 8)
    q, k, v = tensors(2, 16, 0)
    assert not block_sparse_attention(q, k, v, torch.ones(2, 0, dtype=torch.bool), block=8).any()


@pytest.mark.parametrize("mask", [sliding_window(5, 3), strided(5, 2).expand(2, 5, 5)])
def test_a_layout_is_a_constant_of_one_compiled_graph(mask):
    layout = AttentionLayout.from_mask(mask, queries=37, keys=37, block=8, is_causal=True)

    def run(q, k, v):
        return block_sparse_attention(q, k, v, layout, block=8, is_causal=True)

    q, k, v = tensors(2, 37, 37)
    ours = torch.compile(run, fullgraph=True, backend="aot_eager")(q, k, v)
    assert torch.allclose(ours, run(q, k, v), atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(ours.sum(), (q, k, v)), torch.autograd.grad(run(q, k, v).sum(), (q, k, v)), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-12)


def test_wrong_arguments_are_refused():
    q, k, v = tensors(2, 32, 32)
    mask = torch.ones(4, 4, dtype=torch.bool)
    layout = AttentionLayout.from_mask(mask, queries=32, keys=32, block=8)
    for change in ((q[:, :1], k, v), (q, k[..., :4], v), (q, k, v[:, :, :8]), (q[0], k[0], v[0])):
        with pytest.raises(InputError, match="do not belong together"):
            block_sparse_attention(*change, mask, block=8)
    for wrong in (mask[:3], mask.int(), mask[None, None]):
        with pytest.raises(InputError, match="mask does not fit"):
            block_sparse_attention(q, k, v, wrong, block=8)
    for other in ({"block": 16}, {"block": 8, "is_causal": True}):
        with pytest.raises(InputError, match="other sequences"):
            block_sparse_attention(q, k, v, layout, **other)
    with pytest.raises(InputError, match="other sequences"):
        block_sparse_attention(q, k, v, mask.expand(3, 4, 4), block=8)
    with pytest.raises(InputError, match="no elements"):
        block_sparse_attention(q, k, v, mask, block=0)
    for wrong in (lambda: strided(4, 0), lambda: fixed(4, 2, 3), lambda: random_blocks(4, 5)):
        with pytest.raises(InputError, match="cannot be used"):
            wrong()
