"""Sparse layers that turn zeros into time: block-sparse and grouped products, with their kernels.

from assay.sparse import BlockSparseLinear

layer = BlockSparseLinear.from_linear(dense, block=32, sparsity=0.9)
y = layer(x)
print(layer.explain())
"""

from assay.sparse.functional import block_sparse_mm
from assay.sparse.grouped import gathered_mm, grouped_mm
from assay.sparse.int8 import Int8BlockSparseLinear, quantise
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear

__all__ = [
    "BlockLayout",
    "BlockSparseLinear",
    "Int8BlockSparseLinear",
    "block_sparse_mm",
    "gathered_mm",
    "grouped_mm",
    "quantise",
]
