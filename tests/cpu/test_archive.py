"""The archive on SQLite and on a real PostgreSQL server: what enters, what is found, what is shown, what is kept."""

import hashlib
import threading
from datetime import timedelta

import pytest
from sqlalchemy import MetaData, create_engine, inspect, text
from synthetic_certificates import CREATED, certified, changed, of_kind

from assay.archive import migrations
from assay.archive.archive import Outcome
from assay.archive.database import locate
from assay.archive.migrations import MIGRATIONS, VERSION, migrate
from assay.archive.opening import open_archive
from assay.archive.operators import OperatorSignature
from assay.archive.tables import METADATA
from assay.errors import InputError

SOFTMAX = OperatorSignature(("aten.softmax.int",), ("float32",), (2,))
SCALED = OperatorSignature(("aten.mul.Tensor", "aten.softmax.int"), ("float32",), (2,))
MATMUL = OperatorSignature(("aten.mm",), ("float32", "float32"), (2, 2))


@pytest.fixture
def archive(location):
    return open_archive(location)


def names(matches):
    return [match.entry.candidate_name for match in matches]


def test_what_was_admitted_is_shown_again_whole_after_reopening(archive, location):
    certificate = certified("row by row", proposer="random walk")
    admission = archive.admit(certificate, SOFTMAX)
    assert (admission.outcome, admission.identity) == (Outcome.ADMITTED, certificate["identity"])
    found = open_archive(location, create=False).show(certificate["identity"][:10])
    assert found.certificate == certificate
    assert found.candidate.to_json() | {"identity": found.candidate.identity} == certificate["candidate"]
    assert found.task.identity == certificate["task"]["identity"]
    entry = found.entry
    assert (entry.candidate_name, entry.proposer, entry.language, entry.flags) == (
        "row by row", "random walk", "cpp", ("-O3",),
    )  # fmt: skip
    assert (entry.speedup, entry.lower, entry.upper) == tuple(
        certificate["speedup"][k] for k in ("ratio", "lower", "upper")
    )
    assert (entry.axes, entry.torch) == ({"rows": 1024, "cols": 2048}, "2.13.0+cpu")
    assert entry.machine_identity == certificate["machine"]["identity"]
    assert entry.operators == SOFTMAX
    assert entry.signed_by == admission.signed_by


def test_the_same_certificate_twice_is_one_entry_and_the_first_operators_stay(archive):
    certificate = certified()
    assert archive.admit(certificate).outcome is Outcome.ADMITTED
    assert archive.admit(certificate, SOFTMAX).outcome is Outcome.KNOWN
    assert archive.admit(certificate, MATMUL).outcome is Outcome.KNOWN
    (match,) = archive.search()
    assert match.entry.operators == SOFTMAX, "what was missing is filled in, what is there stays"


def test_what_may_not_enter_leaves_nothing(archive):
    certificate = certified()
    forged = changed(certificate, seconds=1.0) | {"signature": certificate["signature"]}
    for offered in (of_kind("wrong"), of_kind("slow"), forged, {}):
        with pytest.raises(InputError):
            archive.admit(offered, MATMUL)
    assert archive.search() == ()
    assert list(archive.certificates()) == []


def test_the_like_are_found_best_first_with_their_likeness(archive):
    archive.admit(certified("slower", "// a"), SOFTMAX)
    archive.admit(certified("faster", "// b", speedup=2.0), SOFTMAX)
    archive.admit(certified("scaled", "// c", speedup=3.0), SCALED)
    archive.admit(certified("matmul", "// d", speedup=3.0), MATMUL)
    archive.admit(certified("without", "// e", speedup=3.0))
    matches = archive.search(SOFTMAX)
    assert names(matches) == ["faster", "slower", "scaled"]
    assert [match.similarity for match in matches] == [1.0, 1.0, pytest.approx(1.5 / 3)]
    assert names(archive.search(SOFTMAX, limit=2)) == ["faster", "slower"]
    assert names(archive.search(SCALED, exact=True)) == ["scaled"]
    assert names(archive.search(OperatorSignature(("aten.softmax.int",)), exact=True)) == []
    assert names(archive.search(SOFTMAX, "SLOWER")) == ["slower"]
    assert {match.similarity for match in archive.search()} == {None}


def test_text_finds_names_before_sources_whatever_the_case(archive):
    archive.admit(certified("plain", "// uses a Welford pass 100%_done", speedup=3.0))
    archive.admit(certified("welford", "// two passes", speedup=1.5))
    archive.admit(certified("\u00c4RGER", "// nothing of it", task_name="stra\u00dfe"))
    assert names(archive.search(text="WELFORD")) == ["welford", "plain"]
    assert names(archive.search(text="welford uses")) == ["plain"]
    assert names(archive.search(text="\u00e4rger")) == names(archive.search(text="STRASSE")) == ["\u00c4RGER"]
    assert names(archive.search(text="100%_done")) == ["plain"]
    assert names(archive.search(text="100__done")) == names(archive.search(text="'; DROP TABLE")) == []
    assert names(archive.search(text="nul\0byte \udcff")) == []
    assert len(archive.search(text="softmax")) == 3, "the task's own source counts too"


@pytest.mark.parametrize(
    "bad", [{"limit": 0}, {"limit": 1001}, {"text": "x" * 501}, {"text": "a b " + " ".join(map(str, range(30)))}]
)
def test_a_search_out_of_bounds_is_refused(archive, bad):
    with pytest.raises(InputError):
        archive.search(**bad)


def test_a_prefix_must_fit_one_kernel(archive):
    made = [certified(created=CREATED + timedelta(days=day)) for day in range(3)]
    for certificate in made:
        archive.admit(certificate)
    assert archive.show(made[1]["identity"].upper()).certificate == made[1]
    for prefix, words in (
        ("", "no identity"),
        ("xyz", "no identity"),
        ("%", "no identity"),
        ("f" * 64, "no such kernel"),
    ):
        with pytest.raises(InputError, match=words):
            archive.show(prefix)
    with pytest.raises(InputError, match="More than one") as caught:
        archive.show(made[0]["candidate"]["identity"][:12])
    for certificate in made:
        assert certificate["identity"][:16] in caught.value.next_step


def test_text_that_no_database_keeps_does_not_stop_a_kernel(archive):
    certificate = certified("nul \0 and \u2028", "// \0 \U0001f600", proposer="\0")
    assert archive.admit(certificate).outcome is Outcome.ADMITTED
    assert archive.show(certificate["identity"][:20]).certificate == certificate


def test_two_writers_at_once_lose_nothing_and_admit_nothing_twice(location):
    """From an empty database on: both may be the one that makes the tables."""
    made = [certified(f"kernel {number}", f"// {number}") for number in range(6)]
    outcomes, failures = [], []

    def admit_all():
        try:
            archive = open_archive(location)
            outcomes.extend(archive.admit(each, SOFTMAX).outcome for each in made)
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's, whatever it is
            failures.append(error)

    threads = [threading.Thread(target=admit_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(each.value for each in outcomes) == ["admitted"] * 6 + ["known"] * 12
    assert len(open_archive(location).search()) == 6


def plain_engine(location):
    return create_engine(locate(location, {}))


def alter(location, statement, **values):
    with plain_engine(location).begin() as connection:
        connection.execute(text(statement), values)


def at_version(location, version):
    with plain_engine(location).begin() as connection:
        migrate(connection, "here", upto=version)


def test_the_migrated_tables_are_those_that_queries_are_built_on(archive, location):
    engine = plain_engine(location)
    found = MetaData()
    found.reflect(engine)
    for table in METADATA.sorted_tables:
        assert {c.name: c.nullable for c in found.tables[table.name].columns} == {
            c.name: c.nullable for c in table.columns
        }
        kinds = {c.name: c.type.as_generic()._type_affinity for c in found.tables[table.name].columns}
        assert kinds == {c.name: c.type._type_affinity for c in table.columns}
        indexes = {index["name"]: index["column_names"] for index in inspect(engine).get_indexes(table.name)}
        assert indexes == {index.name: [c.name for c in index.columns] for index in table.indexes}
        keys = [key["referred_table"] for key in inspect(engine).get_foreign_keys(table.name)]
        assert keys == [key.column.table.name for key in table.foreign_keys]


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_archive_is_migrated_and_keeps_its_kernels(location, version, tmp_path):
    certificate = certified()
    donor = open_archive(str(tmp_path / "donor.db"))
    donor.admit(certificate)
    at_version(location, version)
    with plain_engine(str(tmp_path / "donor.db")).connect() as connection:
        row = dict(connection.execute(text("SELECT * FROM assay_kernels")).mappings().one())
    del row["operators_identity"]  # what version 1 did not have
    columns = ", ".join(row)
    alter(location, f"INSERT INTO assay_kernels ({columns}) VALUES ({', '.join(f':{name}' for name in row)})", **row)
    archive = open_archive(location, create=False)
    assert archive.show(certificate["identity"]).certificate == certificate
    assert archive.admit(certificate, SOFTMAX).outcome is Outcome.KNOWN
    assert names(archive.search(SOFTMAX)) == ["softmax"]


def test_a_newer_archive_is_refused_and_left_alone(archive, location):
    archive.admit(certified())
    alter(location, "UPDATE assay_archive SET version = 99")
    with pytest.raises(InputError, match="newer Assay") as caught:
        open_archive(location)
    assert "version 99" in caught.value.value
    alter(location, f"UPDATE assay_archive SET version = {VERSION}")
    assert len(open_archive(location).search()) == 1


def test_a_migration_that_fails_leaves_the_version_that_was(location, monkeypatch):
    at_version(location, 1)
    broken = migrations.Migration(2, (*MIGRATIONS[1].statements, "CREATE TABLE assay_kernels (x INTEGER)"))
    monkeypatch.setattr(migrations, "MIGRATIONS", (MIGRATIONS[0], broken))
    with pytest.raises(Exception, match="does not know"):
        open_archive(location)
    monkeypatch.undo()
    with plain_engine(location).connect() as connection:
        assert connection.execute(text("SELECT version FROM assay_archive")).scalar_one() == 1
        assert sorted(inspect(connection).get_table_names()) == ["assay_archive", "assay_kernels"]
    assert open_archive(location).admit(certified()).outcome is Outcome.ADMITTED


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE assay_kernels SET speedup = 99.0", "changed or damaged"),
        ("UPDATE assay_kernels SET certificate = '{}'", "not a certificate"),
        ("UPDATE assay_kernels SET certificate = 'x'", "changed or damaged"),
        ("UPDATE assay_kernels SET certificate = replace(certificate, '\"ACCEPT\"', '\"REJECT\"')", "changed"),
        ("UPDATE assay_kernels SET signed_by = 'SHA256:me'", "changed or damaged"),
        ("UPDATE assay_kernels SET flags = '{'", "changed or damaged"),
        ("UPDATE assay_operators SET signature = '[]'", "changed or damaged"),
    ],
)
def test_an_entry_that_somebody_changed_in_the_database_is_told(archive, location, statement, words):
    certificate = certified()
    archive.admit(certificate, SOFTMAX)
    alter(location, statement)
    with pytest.raises(InputError, match=words):
        archive.show(certificate["identity"])


def test_published_migrations_never_change():
    steps = "\n".join(f"{step.version}\n" + "\n".join(step.statements) for step in MIGRATIONS)
    assert (
        hashlib.sha256(steps.encode()).hexdigest() == "25eab187f1f3e5f30e1a5692e0b88947dba3e9b2e9849eb5ab7c864004280cef"
    ), "add a step; archives exist that took these"
