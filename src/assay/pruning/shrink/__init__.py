"""A pruned model without its dead and constant units: smaller dense layers, the same outputs.

from assay.pruning.shrink import shrink

shrunk = shrink(pruned.model, example_batch)
shrunk.model, print(shrunk.report)
"""

from assay.pruning.shrink.report import Report, Shrunk
from assay.pruning.shrink.shrinking import shrink

__all__ = ["Report", "Shrunk", "shrink"]
