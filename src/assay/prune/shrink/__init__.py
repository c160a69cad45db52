"""A pruned model without its dead and constant units: smaller dense layers, the same outputs.

from assay.prune.shrink import shrink

shrunk = shrink(pruned.model, example_batch)
shrunk.model, print(shrunk.report)
"""

from assay.prune.shrink.report import Report, Shrunk
from assay.prune.shrink.shrinking import shrink

__all__ = ["Report", "Shrunk", "shrink"]
