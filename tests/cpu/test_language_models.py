"""Language models as proposers, against an endpoint on loopback: answers, costs, and what endpoints do wrong."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from synthetic_graphs import softmax

from assay.core.sources import Language
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.language.endpoint import Answer, Model, OpenAIEndpoint
from assay.engineer.language.meter import Meter
from assay.engineer.language.recorded import Recorded
from assay.engineer.proposers.generators import CPP
from assay.engineer.proposers.language_model import KernelWriter, ScheduleChooser
from assay.errors import InputError, MachineError
from assay.machine.survey import read_facts
from assay.search import Evaluation, Fidelity, Idea, Kind, Known, Request
from assay.tasks.load import load_task

KERNEL = 'Here:\n```cpp\n#include <assay/kernel.h>\nextern "C" int assay_kernel(const assay_call*) { return 0; }\n```\n'
SECRET = "key-that-nobody-may-see"


def reply(content, **message):
    body = {"role": "assistant", "content": content} | message
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": body}]}  # fmt: skip


@contextmanager
def serving(*answers):
    """An endpoint that gives these in turn, the last one for ever: a body, a status, or seconds of silence."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append((headers, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            answer = answers[min(len(seen), len(answers)) - 1]
            if isinstance(answer, float):
                time.sleep(answer)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            body = answer if isinstance(answer, str) else json.dumps(answer if isinstance(answer, dict) else {})
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that gave up is no news
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def request(*parents, best=None):
    kind = (Kind.FRESH, Kind.REFINE, Kind.CROSS)[len(parents)]
    return Request(load_task("softmax"), kind, parents, best, np.random.default_rng(0))


def writer(url, meter=None, **options):
    model = Model("m", url, retries=options.pop("retries", 0), timeout_s=options.pop("timeout_s", 5.0), **options)
    return KernelWriter(model, OpenAIEndpoint(model), meter or Meter(), load_task("softmax"), read_facts())


def test_a_model_writes_a_kernel_and_its_cost_is_on_the_idea(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with serving(reply(KERNEL)) as (url, seen):
        idea = writer(url, price_in=1000.0, price_out=2000.0).propose(request())
    assert idea.candidate.language is Language.CPP
    assert idea.candidate.files[0].text.startswith("#include <assay/kernel.h>")
    assert (idea.tokens, idea.money) == (120, pytest.approx(0.14))
    headers, body = seen[0]
    assert headers["authorization"] == f"Bearer {SECRET}", "the key goes to the endpoint"
    assert SECRET not in json.dumps(body) + json.dumps(idea.to_json()), "and nowhere else"
    assert "torch.softmax" in json.dumps(body) or "softmax" in json.dumps(body)


def test_a_refinement_carries_the_parent_and_the_referees_words():
    with serving(reply(KERNEL)) as (url, seen):
        proposer = writer(url)
        first = proposer.propose(request())
        known = Known(first, Evaluation(first.identity, Fidelity.SCREEN, False, None, "wrong-result at [3, 5]", 1.0))
        second = proposer.propose(request(known))
    asked = json.dumps(seen[1][1])
    assert "wrong-result at [3, 5]" in asked
    assert "assay_kernel(const assay_call*) { return 0; }" in asked
    assert second.parents == (first.identity,)


@pytest.mark.parametrize("answer", ["I cannot do that.", "```python\nprint()\n```", ""])
def test_an_answer_without_a_kernel_is_said_and_paid_for_by_the_next_idea(answer):
    with serving(reply(answer), reply(KERNEL)) as (url, _):
        proposer = writer(url)
        with pytest.raises(InputError):
            proposer.propose(request())
        assert proposer.propose(request()).tokens == (240 if answer else 120)


def test_a_refusal_is_said():
    with (
        serving(reply(None, refusal="no kernels today")) as (url, _),
        pytest.raises(InputError, match="no kernels today"),
    ):
        writer(url).propose(request())


@pytest.mark.parametrize(
    "answers", [(503,), (401,), ("no json",), (2.0,)], ids=["down", "denied", "nonsense", "silent"]
)
def test_an_endpoint_that_fails_is_said_without_the_key(monkeypatch, answers):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with serving(*answers) as (url, _), pytest.raises((MachineError, InputError)) as raised:
        writer(url, timeout_s=0.5).propose(request())
    assert SECRET not in repr(raised.value) + str(raised.value)


def test_an_endpoint_that_nobody_listens_at_is_said():
    with pytest.raises(MachineError, match="no answer"):
        writer("http://127.0.0.1:9/v1").propose(request())


def test_a_busy_endpoint_is_asked_again():
    with serving(503, reply(KERNEL)) as (url, seen):
        assert writer(url, retries=1).propose(request()) is not None
    assert len(seen) == 2


def test_nothing_is_asked_once_the_tokens_could_be_passed():
    with serving(reply(KERNEL)) as (url, seen):
        meter = Meter(most_tokens=4000)
        proposer = writer(url, meter)
        while proposer.propose(request()) is not None:
            assert len(seen) < 100
        assert 0 < meter.tokens <= 4000
        assert all(body["max_tokens"] <= 4000 for _, body in seen)


def test_money_bounds_the_longest_answer():
    model = Model("m", "http://x", price_in=1e6, price_out=2e6)
    meter = Meter(most_money=1000.0)
    assert meter.longest(model, 200, 6000) == 400
    meter.book(model, Answer("", 100, 400))
    assert meter.money == 900.0
    assert meter.longest(model, 90, 6000) == 0


def test_answers_are_kept_and_given_again_each_in_its_turn(tmp_path):
    model = Model("m", "http://127.0.0.1:9/v1", retries=0)
    with serving(reply(KERNEL), reply(KERNEL + "two")) as (url, seen):
        real = OpenAIEndpoint(Model("m", url))
        for endpoint in (
            Recorded(tmp_path, "m", real),
            Recorded(tmp_path, "m", OpenAIEndpoint(model)),
            Recorded(tmp_path, "m"),
        ):
            texts = [endpoint.ask([{"role": "user", "content": "?"}], 10).text for _ in range(2)]
            assert texts == [KERNEL, KERNEL + "two"]
    assert len(seen) == 2
    with pytest.raises(InputError, match="no recorded answer"):
        Recorded(tmp_path, "m").ask([{"role": "user", "content": "another"}], 10)


def test_a_small_model_chooses_a_schedule():
    wanted = Schedule(lanes=256, stream=True)
    with serving(reply(json.dumps(wanted.to_json())), reply('{"lanes": 3}'), reply("fast please")) as (url, seen):
        model = Model("m", url, retries=0)
        proposer = ScheduleChooser(model, OpenAIEndpoint(model), Meter(), load_task("softmax"), softmax())
        idea = proposer.propose(request())
        assert CPP.schedule_of(idea.candidate) == wanted
        assert idea.note == "lanes=256, stream=True", "in the words of the generator's own ideas"
        for _ in range(2):
            with pytest.raises(InputError, match="no schedule"):
                proposer.propose(
                    request(Known(idea, Evaluation(idea.identity, Fidelity.SCREEN, True, 0.1, "1.1x", 1.0)))
                )
    schema = seen[0][1]["response_format"]["json_schema"]["schema"]
    assert set(schema["required"]) == set(CHOICES)
    assert "1.1x" in json.dumps(seen[1][1])


def test_a_model_without_a_url_is_refused():
    with pytest.raises(ValueError, match="URL"):
        Model("m", "ftp://somewhere")


def test_ideas_are_the_searchs_own_kind():
    with serving(reply(KERNEL)) as (url, _):
        assert isinstance(writer(url).propose(request()), Idea)
