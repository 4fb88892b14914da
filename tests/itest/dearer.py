#!/usr/bin/env python3
"""What costs other than text, tokens and the catalog's plain prices: it is held for before anything is
sent, and what the provider counted is billed at the price of its kind; where no price is stated, no such
request is sent.  Costs are decimal computations, equal to the nano-dollar."""

import base64
import json
from decimal import ROUND_CEILING, Decimal

from harness import Sim, Wayfare, endpoint, price, provider, run_module, sse_events, wait_for

HEARING = ["oa", "gem", "plain"]
sim = Sim(HEARING + ["perplexity", "openrouter", "ant", "openai"], extra=["--log-bodies"])
AUDIO = price("2.5", "10", audio="32", audio_completion="64", cache_read="1.25")
GEMINI = price("0.3", "2.5", audio="1", audio_cache_read="0.1", cache_read="0.03")
PRICES = {"oa": AUDIO, "gem": GEMINI, "plain": price("1", "2")}
HEARS = {"input_modalities": ["text", "audio"]}


def catalog():
    return {"providers": [provider("oa", sim.url["oa"] + "/v1", protocol="openai"),
                          provider("gem", sim.url["gem"], protocol="gemini"),
                          provider("plain", sim.url["plain"] + "/v1", protocol="openai"),
                          provider("perplexity", sim.url["perplexity"] + "/v1", protocol="openai"),
                          provider("openrouter", sim.url["openrouter"] + "/v1", protocol="openai"),
                          provider("ant", sim.url["ant"]),
                          provider("openai", sim.url["openai"] + "/v1", protocol="openai")],
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
            endpoint("openrouter", "x/n", price("1", "2"), server_tools=[])]},
        {"id": "test/terms", "aliases": ["terms"], "endpoints": [
            endpoint("ant", "t-1", price("5", "25")),
            endpoint("ant", "t-1", price("30", "150"), variant="fast", speed="fast"),
            endpoint("ant", "t-1", price("5.5", "27.5"), variant="us", inference_geo="us")]},
        {"id": "test/quick", "endpoints": [
            endpoint("ant", "t-3", price("1", "2"), speed="fast"),
            endpoint("ant", "t-3", price("5", "25"), variant="usual")]},
        {"id": "test/usual", "aliases": ["usual"], "endpoints": [endpoint("ant", "t-2", price("5", "25"))]},
        {"id": "test/tiers", "aliases": ["tiers"], "endpoints": [
            endpoint("openai", "g-1", price("2", "8")),
            endpoint("openai", "g-1", price("1", "4"), variant="flex"),
            endpoint("openai", "g-1", price("4", "16"), variant="priority")]}]}


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


def test_dear_plugins():
    """Other models asked beside, pages read with OCR: nothing of their cost is in the answer's tokens."""
    for plugin in ({"id": "fusion", "analysis_models": ["x/dear"]}, {"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}):
        for model in ("or", "none"):
            status, _, data = chat(model=model, messages=HI, plugins=[plugin])
            assert status == 404 and (plugin["id"] + "_plugin").encode() in data, (plugin, model, status, data)


# ---- terms and tiers with prices of their own ----

def as_sent(name):
    """What the provider received last."""
    lines = [w for w in sim.witness() if w["event"] == "begin" and w["listener"] == name]
    return json.loads(base64.b64decode(lines[-1]["body_base64"]))


def message_of(**usage):
    return json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "t-1", "stop_reason": "end_turn",
                       "stop_sequence": None, "content": [{"type": "text", "text": "a"}],
                       "usage": dict({"input_tokens": 1000, "output_tokens": 20}, **usage)})


def stream_of(first, last):
    def event(kind, **members):
        return "event: %s\ndata: %s\n\n" % (kind, json.dumps(dict({"type": kind}, **members)))
    return "".join((
        event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "t-1", "content": [],
                                        "stop_reason": None, "stop_sequence": None,
                                        "usage": dict({"input_tokens": 1000, "output_tokens": 1}, **first)}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
              usage=dict({"output_tokens": 20}, **last)),
        event("message_stop")))


def ask(model, **fields):
    body = dict({"model": model, "max_tokens": 100, "messages": HI}, **fields)
    return way.request("POST", "/v1/messages", body)


def billed(headers, prompt, completion, tok=(1000, 20)):
    a = attempt(headers)
    assert usd(a["cost_usd"]) == nusd(per_mtok(prompt, tok[0]) + per_mtok(completion, tok[1])), (a, prompt)
    return a


def test_terms_that_no_price_is_for():
    """Six times the price is not guessed: the request goes nowhere, and is told why."""
    for fields, named in (({"speed": "fast"}, 'speed "fast"'), ({"inference_geo": "us"}, 'inference_geo "us"')):
        for path in ("/v1/messages", "/v1/chat/completions"):
            status, _, data = way.request("POST", path, dict({"model": "usual", "max_tokens": 9, "messages": HI}, **fields))
            error = json.loads(data)["error"]
            excluded = error["availability"]["excluded"]
            assert status == 404 and [x["reason"] for x in excluded] == ["unpriced"], data
            assert named in excluded[0]["detail"] and named in error["message"], data
    assert not [w for w in sim.witness() if w["event"] == "begin" and w["listener"] == "ant"]
    for fields in ({"speed": "standard", "inference_geo": "global"}, {"speed": None} , {}):
        status, headers, data = ask("usual", **{k: v for k, v in fields.items() if v})
        assert status == 200, data
    status, _, data = ask("usual", speed=6)
    assert status == 400 and json.loads(data)["error"]["message"].startswith("speed must be a string"), data


def test_terms_are_listed():
    """A model is listed with its usual prices, though `us` may be all that a client asks for."""
    listed = {e["provider"]: (e["speed"], e["inference_geo"]) for e in way.cli_json("catalog", "list", "--model", "terms")["data"]}
    assert listed == {"ant": (None, None), "ant/fast": ("fast", None), "ant/us": (None, "us")}, listed
    data = json.loads(way.request("GET", "/v1/models/test/terms/endpoints")[2])["data"]
    assert {e["name"]: (e["speed"], e["inference_geo"]) for e in data["endpoints"]} == listed, data
    models = json.loads(way.request("GET", "/v1/models")[2])["data"]
    assert [m["pricing"]["prompt"] for m in models if m["id"] == "test/quick"] == ["0.000005"], models


def test_terms_at_their_price():
    for fields, to, rates in (({"speed": "fast"}, "ant/fast", ("30", "150")),
                              ({"inference_geo": "us"}, "ant/us", ("5.5", "27.5")), ({}, "ant", ("5", "25"))):
        stated = {"speed": fields.get("speed", "standard"), "inference_geo": fields.get("inference_geo", "global")}
        for stream in (False, True):
            sim.script("ant", body=stream_of(stated, {}) if stream else message_of(**stated),
                       content_type="text/event-stream" if stream else "application/json")
            status, headers, data = ask("terms", stream=stream, **fields)
            assert status == 200 and headers["x-wayfare-provider"] == to, (headers, data)
            a = billed(headers, *rates)
            assert usd(a["hold_usd"]) >= nusd(per_mtok(rates[1], 100)), a
            assert {k: v for k, v in as_sent("ant").items() if k in stated} == fields, fields
        # translated as well
        sim.script("ant", body=message_of(**stated), content_type="application/json")
        status, headers, data = chat(model="terms", messages=HI, **fields)
        assert status == 200 and headers["x-wayfare-provider"] == to, (headers, data)
        billed(headers, *rates)
        assert {k: v for k, v in as_sent("ant").items() if k in stated} == fields, fields
    status, _, data = ask("terms", speed="fast", inference_geo="us")  # each is there, both are not
    assert status == 404, data
    way.verify()


def test_served_otherwise_than_asked():
    """The provider says how it served, and that is what is billed: not fast when there was no room, and where
    the operator's account says."""
    for fields, stated, rates in (({"speed": "fast"}, {"speed": "standard"}, ("5", "25")),
                                  ({}, {"inference_geo": "us"}, ("5.5", "27.5")),
                                  ({}, {"inference_geo": "not_available", "speed": None}, ("5", "25")),
                                  ({}, {"inference_geo": "eu"}, ("5", "25"))):
        for stream in (False, True):
            sim.script("ant", body=stream_of({"speed": fields.get("speed")}, stated) if stream else message_of(**stated),
                       content_type="text/event-stream" if stream else "application/json")
            status, headers, data = ask("terms", stream=stream, **fields)
            assert status == 200, data
            a = billed(headers, *rates)
            listed = [e for e in way.cli_json("catalog", "list", "--model", "terms")["data"]
                      if e["pricing"]["prompt"] == rates[0]]
            assert [e["price_version"] for e in listed] == [a["price_version"]], (a, listed)
    wait_for("the log", lambda: "served on terms that the catalog has no price for" in way.server_log())
    way.verify()


def test_a_tier_is_asked_for():
    """A variant that is a service tier is asked for by its name; what it was served in is billed."""
    sim.script("openai", model="g-1", input_tokens=1000, output_tokens=20, lenient=1)
    for tier, rates in (("flex", ("1", "4")), ("priority", ("4", "16")), (None, ("2", "8"))):
        for said in (None, "auto", "priority"):
            status, headers, data = chat(model="tiers", messages=HI, service_tier=said,
                                         provider={"only": ["openai/" + tier] if tier else ["openai"],
                                                   "order": ["openai/" + tier] if tier else ["openai"]})
            assert status == 200, data
            billed(headers, *rates)
            expected = tier or (said if said == "auto" else None)
            assert as_sent("openai").get("service_tier") == expected, (tier, said)
            dropped = "service_tier" if said == "priority" and not tier else None
            assert headers.get("x-wayfare-dropped") == dropped, headers
        status, headers, data = ask("tiers", provider_only=["openai/" + tier] if tier else ["openai"],
                                    provider_order=["openai/" + tier] if tier else ["openai"])
        assert status == 200, data
        billed(headers, *rates)
        assert as_sent("openai").get("service_tier") == tier, tier
    # asked for flex, and served as usual
    answer = json.loads(answer_of(prompt_tokens=1000, completion_tokens=20, total_tokens=1020))
    for tier, rates in (("default", ("2", "8")), ("priority", ("4", "16")), ("scale", ("1", "4"))):
        sim.script("openai", model="g-1", body=json.dumps(dict(answer, service_tier=tier)),
                   content_type="application/json", lenient=1)
        status, headers, data = chat(model="tiers", messages=HI, provider={"only": ["openai/flex"], "order": ["openai/flex"]})
        assert status == 200, data
        billed(headers, *rates)
    way.verify()


def test_anthropic_tiers():
    """Its priority tier is paid for in advance, and its words say nothing else; others are of no use there."""
    sim.script("ant", body=message_of(service_tier="priority"), content_type="application/json")
    for word, goes in (("auto", True), ("standard_only", True), ("priority", False), ("flex", False)):
        status, headers, data = ask("usual", service_tier=word)
        assert status == 200, data
        assert ("service_tier" in as_sent("ant")) == goes, word
        assert headers.get("x-wayfare-dropped") == (None if goes else "service_tier"), headers
        billed(headers, "5", "25")
    way.verify()


def test_replayed_as_it_was():
    """What was billed at another endpoint's prices is kept; the rest is priced again by those that are for it."""
    prefs = way.dir + "/none.json"
    with open(prefs, "w") as f:
        f.write("{}")
    for r in (way.cli_json("replay"), way.cli_json("replay", "--prefs", prefs)):
        rows = {x["model"]: x for x in r["rows"]}
        assert not r["no_endpoint"] and {"test/terms", "test/tiers"} <= set(rows), r
        terms = rows["test/terms"]
        assert terms["actual_usd"] == terms["hypothetical_usd"] and terms["moved"] == 0, terms
        assert terms["kept"] == 4 and terms["attempts"] == 17, terms


if __name__ == "__main__":
    run_module(globals())
