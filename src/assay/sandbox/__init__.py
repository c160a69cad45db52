"""Confinement by the operating system: where hostile code is built and run.

A *zygote* is a fresh interpreter that moved itself into a minimal read-only root, imported what its children need and
then forks one confined child per request, so that a child costs milliseconds and not an import of torch.
"""
