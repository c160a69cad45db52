"""The options that say what is claimed of a cheaper model, alike for every verb that has one judged."""

from __future__ import annotations

from typing import Annotated

import typer

MarginOption = Annotated[str, typer.Option("--margin", help="Worse by this is as good: in the score's unit, or 1%.")]
CostOption = Annotated[
    str, typer.Option("--cost", help="What is claimed: latency, throughput, training, memory, size.")
]
AtMostOption = Annotated[float, typer.Option("--at-most", help="The share of the dense model's cost that is claimed.")]
