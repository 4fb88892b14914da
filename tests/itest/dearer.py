#!/usr/bin/env python3
"""What costs other than text, tokens and the catalog's plain prices: it is held for before anything is
sent, and what the provider counted is billed at the price of its kind; where no price is stated, no such
request is sent.  Costs are decimal computations, equal to the nano-dollar."""

import base64
import json
from decimal import ROUND_CEILING, Decimal

from harness import Sim, Wayfare, endpoint, price, provider, run_module, sse_events

HEARING = ["oa", "gem", "plain"]
sim = Sim(HEARING + ["perplexity", "openrouter"])
AUDIO = price("2.5", "10", audio="32", audio_completion="64", cache_read="1.25")
GEMINI = price("0.3", "2.5", audio="1", audio_cache_read="0.1", cache_read="0.03")
PRICES = {"oa": AUDIO, "gem": GEMINI, "plain": price("1", "2")}
HEARS = {"input_modalities": ["text", "audio"]}


def catalog():
    return {"providers": [provider("oa", sim.url["oa"] + "/v1", protocol="openai"),
                          provider("gem", sim.url["gem"], protocol="gemini"),
                          provider("plain", sim.url["plain"] + "/v1", protocol="openai"),
                          provider("perplexity", sim.url["perplexity"] + "/v1", protocol="openai"),
                          provider("openrouter", sim.url["openrouter"] + "/v1", protocol="openai")],
            "models": [
        {"id": "test/sound", "aliases": ["sound"], "endpoints": [
            endpoint(n, "up-" + n, PRICES[n], context_length=100000, **HEARS) for n in HEARING]},
        {"id": "test/sonar", "aliases": ["sonar"], "endpoints": [
            endpoint("perplexity", "sonar", price("1", "1", web_search="0.005"), context_length=128000)]},
        {"id": "test/deep", "aliases": ["deep"], "endpoints": [
            endpoint("perplexity", "sonar-deep-research", price("2", "8", web_search="0.005"), context_length=128000)]},
        {"id": "test/or", "aliases": ["or"], "endpoints": [
            endpoint("openrouter", "x/m", price("1", "2", web_search="0.01"), server_tools=["web_search"])]},
        {"id": "test/none", "aliases": ["none"], "endpoints": [
            endpoint("openrouter", "x/n", price("1", "2"), server_tools=[])]}]}


way = Wayfare(catalog())
CLIP = base64.b64encode(b"\0" * 16000).decode()
SOUND = [{"role": "user", "content": [{"type": "text", "text": "What is said here?"},
                                      {"type": "input_audio", "input_audio": {"data": CLIP, "format": "wav"}}]}]


def chat(path="/v1/chat/completions", **fields):
    body = dict({"model": "sound", "max_tokens": 100, "messages": SOUND}, **fields)
    return way.request("POST", path, {k: v for k, v in body.items() if v is not None})


def nusd(pusd):
    return int((Decimal(pusd) / 1000).to_integral_value(ROUND_CEILING))


def usd(text):
    return int(Decimal(text) * 10 ** 9)


def attempt(headers):
    g = way.generation(headers)
    assert len(g["attempts"]) == 1, g
    return g["attempts"][0]


def per_mtok(rate, tok):
    return int(Decimal(rate) * tok * 10 ** 6)  # pico-USD


# ---- sound ----

def test_sound_is_billed_as_sound():
    """gpt-audio: 12.8 times the price of text."""
    sim.script("oa", input_tokens=1000, output_tokens=200, audio_input=900, audio_output=150)
    for stream in (False, True):
        status, headers, data = chat(provider={"only": ["oa"]}, modalities=["text", "audio"], stream=stream, max_tokens=500,
                                     audio={"voice": "alloy", "format": "wav"})
        assert status == 200, data
        a = attempt(headers)
        assert a["usage_source"] == "final", a
        tokens = [a["usage"][n] for n in ("input_tokens", "audio_input_tokens", "output_tokens", "audio_output_tokens",
                                          "audio_cache_read_tokens")]
        assert tokens == [1000, 900, 200, 150, None], a
        cost = (per_mtok("2.5", 100) + per_mtok("32", 900) + per_mtok("10", 50) + per_mtok("64", 150))
        assert usd(a["cost_usd"]) == nusd(cost), (a, cost)
        # every token of the prompt could have been sound, and every one of the answer
        assert usd(a["hold_usd"]) >= nusd(per_mtok("64", 500) + per_mtok("32", 1000)), a
        assert usd(a["hold_usd"]) >= usd(a["cost_usd"]), a
    way.verify()


def test_sound_of_gemini():
    sim.script("gem", input_tokens=1000, cache_read=500, output_tokens=20, audio_input=1200)
    status, headers, data = chat(provider={"only": ["gem"]})
    assert status == 200, data
    details = json.loads(data)["usage"]["prompt_tokens_details"]
    assert details == {"cached_tokens": 500, "audio_tokens": 1000}, details
    a = attempt(headers)
    assert [a["usage"][n] for n in ("input_tokens", "audio_input_tokens", "cache_read_tokens")] == [1000, 1000, 500], a
    assert usd(a["cost_usd"]) == nusd(per_mtok("1", 1000) + per_mtok("0.03", 500) + per_mtok("2.5", 20)), a
    assert usd(a["hold_usd"]) >= usd(a["cost_usd"]), a
    usage = way.cli_json("usage", "--by", "provider")["rows"]
    assert {r["provider"]: r["audio_input_tokens"] for r in usage}["gem"] == 1000, usage
    way.verify()


def test_text_costs_what_text_does():
    sim.script("oa", input_tokens=1000, output_tokens=20, audio_input=0, audio_output=0)
    text = [{"role": "user", "content": "hi"}]
    status, headers, data = chat(provider={"only": ["oa"]}, messages=text)
    assert status == 200, data
    a = attempt(headers)
    assert usd(a["cost_usd"]) == nusd(per_mtok("2.5", 1000) + per_mtok("10", 20)), a
    assert usd(a["hold_usd"]) < nusd(per_mtok("10", 100) + per_mtok("2.5", 1000)), a


def test_sound_without_a_price():
    """Nobody knows what it would cost there: it does not go there."""
    for _ in range(8):
        status, headers, data = chat()
        assert status == 200 and headers["x-wayfare-provider"] in ("gem", "oa"), (headers, data)
    status, _, data = chat(provider={"only": ["plain"]})
    excluded = {x["provider"]: x for x in json.loads(data)["error"]["availability"]["excluded"]}
    assert status == 404 and excluded["plain"]["reason"] == "unpriced", data
    assert '("audio")' in excluded["plain"]["detail"], excluded
    status, _, data = chat(provider={"only": ["plain"]}, messages=[{"role": "user", "content": "sing"}],
                           modalities=["text", "audio"])
    assert status == 404 and b'audio_completion' in data, data
    status, headers, data = chat(provider={"only": ["plain"]}, messages=[{"role": "user", "content": "hi"}])
    assert status == 200, data


def test_sound_that_nobody_counted():
    """No figures: what is guessed of a prompt with sound is guessed as sound, within the hold."""
    sim.script("oa", no_usage=1)
    status, headers, data = chat(provider={"only": ["oa"]})
    assert status == 200, data
    a = attempt(headers)
    assert a["usage_source"] == "estimated" and a["usage"]["audio_input_tokens"] == a["usage"]["input_tokens"] > 0, a
    assert usd(a["cost_usd"]) >= nusd(per_mtok("32", a["usage"]["input_tokens"])), a
    assert usd(a["hold_usd"]) >= usd(a["cost_usd"]), a
    way.verify()


# ---- searches that nobody asked for ----

HI = [{"role": "user", "content": "hi"}]


def answer_of(**usage):
    return json.dumps({"id": "p1", "object": "chat.completion", "created": 1, "model": "sonar", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}], "usage": usage})


def test_deep_research():
    """30 searches, what was read for them and what was thought of it: far more than text and max_tokens."""
    sim.script("perplexity", model="sonar-deep-research",
               body=answer_of(prompt_tokens=33, completion_tokens=50, total_tokens=83, citation_tokens=20016,
                              reasoning_tokens=73997, num_search_queries=30))
    status, headers, data = chat(model="deep", messages=HI)
    assert status == 200, data
    a = attempt(headers)
    assert [a["usage"][n] for n in ("input_tokens", "output_tokens", "web_searches")] == [20049, 74047, 30], a
    cost = per_mtok("2", 20049) + per_mtok("8", 74047) + 30 * 5 * 10 ** 9
    assert usd(a["cost_usd"]) == nusd(cost) and usd(a["hold_usd"]) >= usd(a["cost_usd"]), a
    way.verify()


def test_a_search_for_every_answer():
    sim.script("perplexity", model="sonar")
    for fields in ({}, {"stream": True}):
        status, headers, data = chat(model="sonar", messages=HI, **fields)
        assert status == 200, data
        a = attempt(headers)
        u = a["usage"]
        assert u["web_searches"] == 1 and a["usage_source"] == "final", a
        assert usd(a["cost_usd"]) == nusd(per_mtok("1", u["input_tokens"] + u["output_tokens"]) + 5 * 10 ** 9), a
        assert usd(a["hold_usd"]) >= 10 * 5 * 10 ** 6, a
    status, headers, data = chat(model="sonar", messages=HI)
    assert usd(headers["x-wayfare-cost"]) == usd(attempt(headers)["cost_usd"]), headers
    way.verify()


def test_a_cap_holds_for_searches():
    """A dollar admits no more than its searches could cost, whatever was asked for."""
    sim.script("perplexity", model="sonar", body=answer_of(prompt_tokens=5, completion_tokens=5, num_search_queries=10))
    key = way.cli("key", "create", "--team", "t", "--name", "capped", "--budget", "0.06", "--window", "total").strip()
    body = {"model": "sonar", "max_tokens": 10, "messages": HI}
    status, headers, data = way.request("POST", "/v1/chat/completions", body, {"x-api-key": key}, key=None)
    assert status == 200, data
    assert Decimal(attempt(headers)["cost_usd"]) > Decimal("0.05"), headers
    status, _, data = way.request("POST", "/v1/chat/completions", body, {"x-api-key": key}, key=None)
    assert status == 402, data
    way.verify()


def test_the_web_plugin():
    """It is a tool that the provider runs: an endpoint must list it, and the search is held for."""
    sim.script("openrouter", model="x/m", input_tokens=10, output_tokens=10, lenient=1)
    plain = attempt(chat(model="or", messages=HI)[1])
    status, headers, data = chat(model="or", messages=HI, plugins=[{"id": "web"}])
    assert status == 200, data
    a = attempt(headers)
    assert a["usage"]["web_searches"] == 1 and plain["usage"]["web_searches"] is None, (a, plain)
    assert usd(a["cost_usd"]) - usd(plain["cost_usd"]) == 10 * 10 ** 6, (a, plain)
    assert usd(a["hold_usd"]) > usd(plain["hold_usd"]) + 10 * 10 * 10 ** 6, (a, plain)
    status, _, data = chat(model="none", messages=HI, plugins=[{"id": "web"}])
    assert status == 404 and b"web_search_plugin" in data, data
    assert chat(model="none", messages=HI, plugins=[{"id": "file-parser"}])[0] == 200


if __name__ == "__main__":
    run_module(globals())
