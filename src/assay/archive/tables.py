"""The tables as they are after the last migration, for building queries; a test compares the two."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, MetaData, String, Table, Text

METADATA = MetaData()
_IDENTITY = String(64)
"""A sha256 in hexadecimal. Only such columns have an index: PostgreSQL's take no long text, and anybody's is long."""

OPERATORS = Table(
    "assay_operators",
    METADATA,
    Column("identity", _IDENTITY, primary_key=True),
    Column("signature", Text, nullable=False),
)

KERNELS = Table(
    "assay_kernels",
    METADATA,
    Column("identity", _IDENTITY, primary_key=True),
    Column("candidate_identity", _IDENTITY, nullable=False),
    Column("candidate_name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("flags", Text, nullable=False),
    Column("proposer", Text),
    Column("parent", Text),
    Column("task_identity", _IDENTITY, nullable=False),
    Column("task_name", Text, nullable=False),
    Column("axes", Text, nullable=False),
    Column("speedup", Double, nullable=False),
    Column("lower", Double, nullable=False),
    Column("upper", Double, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("machine_identity", Text, nullable=False),
    Column("torch", Text),
    Column("signed_by", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("admitted", Text, nullable=False),
    Column("candidate_sources", Text, nullable=False),
    Column("task_sources", Text, nullable=False),
    Column("names", Text, nullable=False),
    Column("searchable", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("operators_identity", _IDENTITY, ForeignKey("assay_operators.identity")),
    Index("assay_kernels_candidate", "candidate_identity"),
    Index("assay_kernels_task", "task_identity"),
    Index("assay_kernels_operators", "operators_identity"),
)
