"""How good the referee is, in figures: attacks, planted bugs, honest kernels, false claims, known ratios and costs.

`python -m benchmarks.referee` runs suites and records them in docs/data/referee.json; `report` turns that file into
docs/scoreboard.md. Nothing in the scoreboard is typed by hand.
"""
