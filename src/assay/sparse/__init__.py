"""Sparse layers that turn zeros into time: block-sparse, unstructured and grouped products, and attention.

from assay.sparse import BlockSparseLinear

layer = BlockSparseLinear.from_linear(dense, block=32, sparsity=0.9)
y = layer(x)
print(layer.explain())
"""

from assay.sparse.attention import AttentionLayout, block_sparse_attention
from assay.sparse.convolution import SparseConv2d
from assay.sparse.functional import block_sparse_mm
from assay.sparse.grouped import gathered_mm, grouped_mm
from assay.sparse.int8 import Int8BlockSparseLinear, quantise
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear
from assay.sparse.unstructured import SparseLinear

__all__ = [
    "AttentionLayout",
    "BlockLayout",
    "BlockSparseLinear",
    "Int8BlockSparseLinear",
    "SparseConv2d",
    "SparseLinear",
    "block_sparse_attention",
    "block_sparse_mm",
    "gathered_mm",
    "grouped_mm",
    "quantise",
]
