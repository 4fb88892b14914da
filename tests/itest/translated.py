#!/usr/bin/env python3
"""What clients of either door see where bytes are edited or translated: silence that is filled, the
usage chunk that was not asked for, errors, conversations with very many tool calls.  The providers here
write their bytes themselves: each piece as it is scripted, with pauses between."""

import http.server
import json
import threading
import time

from harness import SLOW, Wayfare, endpoint, price, provider, run_module


class Provider:
    """Answers each request with these bytes; a number among them is a pause in seconds."""

    def __init__(self, pieces, content_type="text/event-stream", status=200, headers=()):
        self.bodies = []
        this = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                this.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-type", content_type)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for piece in pieces:
                        if isinstance(piece, bytes):
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        else:
                            time.sleep(piece)
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]


def serve(*rows):
    """A server with the model "m" on each (slug, protocol, Provider, tail of its address, upstream model)."""
    providers = [provider(slug, p.url + tail, protocol=word, region="eu-west-1") for slug, word, p, tail, _ in rows]
    endpoints = [endpoint(row[0], row[4], price("3", "15"), context_length=100000000) for row in rows]
    return Wayfare({"providers": providers, "models": [{"id": "test/m", "aliases": ["m"], "name": "M",
                                                        "endpoints": endpoints}]}, threads=1)


def chat(way, headers=None, **more):
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
    body.update(more)
    return way.request("POST", "/v1/chat/completions", body, headers)


def event(name, **data):
    return ("event: %s\ndata: %s\n\n" % (name, json.dumps(dict(data, type=name)))).encode()


def claude(block, deltas):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    return [event("message_start", message=message), event("content_block_start", index=0, content_block=block),
            *deltas, event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 20}),
            event("message_stop")]


def test_silence_is_filled_though_the_provider_speaks():
    """Its pings, and thinking that the client does not want, are nothing that the client sees."""
    pings = [1, event("ping")] * 12
    thoughts = [1, event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."})] * 12
    rows = [(claude({"type": "text", "text": ""}, pings), {}),
            (claude({"type": "thinking", "thinking": "", "signature": ""}, thoughts), {"reasoning": {"exclude": True}})]
    answers = []

    def run(pieces, more):
        way = serve(("a", "anthropic", Provider(pieces), "", "c"))
        answers.append(chat(way, stream=True, **more))
        assert way.stop() == 0

    threads = [threading.Thread(target=run, args=row) for row in rows]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 2
    for status, _, body in answers:
        assert status == 200 and body.endswith(b"data: [DONE]\n\n"), body
        assert body.count(b": keep-alive\n\n") == 1, body


def chunk(eol, choices, **more):
    whole = dict({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "g", "choices": choices}, **more)
    return b"data:" + json.dumps(whole).encode() + eol + eol


def choice(delta, reason=None):
    return [{"index": 0, "delta": delta, "finish_reason": reason}]


def test_usage_that_was_not_asked_for_and_nothing_else():
    for eol in (b"\n", b"\r\n"):
        before = [b": PROCESSING" + eol + eol, chunk(eol, choice({"role": "assistant", "content": ""})),
                  b"id: 7" + eol + b"retry: 3" + eol + chunk(eol, choice({"content": "h\u00fc"})),
                  b": x" + eol, chunk(eol, choice({}, "stop"))]
        usage = chunk(eol, [], usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})
        done = b"data: [DONE]" + eol + eol
        whole, rest = b"".join(before) + usage + done, b"".join(before) + done
        for cut in (1, 3, 64, len(whole)):
            server = Provider([whole[i:i + cut] for i in range(0, len(whole), cut)])
            way = serve(("o", "openai", server, "/v1", "g"))
            for options in (None, {}, {"include_usage": False}):
                _, _, got = chat(way, stream=True, stream_options=options)
                assert got == rest, (eol, cut, options, got)
                assert json.loads(server.bodies[-1])["stream_options"] == {"include_usage": True}, server.bodies[-1]
            assert chat(way, stream=True, stream_options={"include_usage": True})[2] == whole
            for headers, more in (({"x-wayfare-report": "body"}, {}), (None, {"usage": {"include": True}})):
                _, _, got = chat(way, headers, stream=True, **more)
                assert b'"cost":0.00012,' in got and got.count(b'"provider":"o"') == 4 and b": PROCESSING" in got, got
            assert way.stop() == 0


def test_a_stream_that_lacks_its_last_blank_line():
    pieces = [chunk(b"\n", choice({"content": "x"}, "stop")),
              chunk(b"\n", [], usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}), b"data: [DONE]"]
    way = serve(("o", "openai", Provider(pieces), "/v1", "g"))
    _, _, got = chat(way, stream=True)
    assert got == pieces[0] + b"data: [DONE]\n\n", got
    assert way.stop() == 0


def once(pairs):
    """An object without a member that is there twice."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def reported(way, path, **more):
    """The objects of an answer with its report."""
    body = dict({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}, **more)
    status, headers, data = way.request("POST", path, body, {"x-wayfare-report": "body"})
    assert status == 200, (status, data)
    lines = [line[5:] for line in data.splitlines() if line.startswith(b"data:") and b"[DONE]" not in line]
    return [json.loads(text, object_pairs_hook=once, parse_float=str) for text in (lines if more.get("stream") else [data])]


def test_report_in_the_place_of_the_providers_own():
    """OpenRouter as a provider states the same members: with two of a name, readers would take the one or the other."""
    theirs = {"cost": 9.5, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
    ours = {"cost": "0.00012", "is_byok": False, "cost_details": {"upstream_inference_cost": "0.00012"}}
    tokens = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    said = {"index": 0, "finish_reason": "stop"}

    for usage in ({**tokens, **theirs}, {**theirs, **tokens}, {"cost": 1, **tokens}, tokens):
        ends = [{"provider": "Their", "usage": usage, "id": "c1"}, {"id": "c1", "usage": usage, "provider": ["x"]}, {"usage": usage, "id": "c1"}]
        wanted = {**usage, **ours} if "is_byok" in usage else {**usage, "cost": ours["cost"], "cost_details": ours["cost_details"]}
        for end in ends:
            body = dict(end, object="chat.completion", created=1, model="g", choices=[dict(said, message={"role": "assistant", "content": "hi"})])
            way = serve(("o", "openai", Provider([json.dumps(body).encode()], "application/json"), "/v1", "g"))
            got = reported(way, "/v1/chat/completions")
            assert got == [dict(body, provider="o", usage=wanted)], got
            assert way.stop() == 0
        pieces = [chunk(b"\n", choice({"content": "h"}), provider="Their"), chunk(b"\n", choice({}, "stop"), provider="Their", usage=None),
                  chunk(b"\n", [], provider="Their", usage=usage), b"data: [DONE]\n\n"]
        way = serve(("o", "openai", Provider(pieces), "/v1", "g"))
        got = reported(way, "/v1/chat/completions", stream=True)
        assert [c["provider"] for c in got] == ["o"] * 3 and got[2]["usage"] == wanted and got[1]["usage"] is None, got
        assert way.stop() == 0


def test_report_in_the_place_of_the_providers_own_messages():
    theirs = {"cost": 9.5, "cost_details": {"upstream_inference_cost": None}}
    body = {"provider": "Their", "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 5, **theirs, "output_tokens": 7}}
    way = serve(("a", "anthropic", Provider([json.dumps(body).encode()], "application/json"), "", "c"))
    ours = {"cost": "0.00012", "cost_details": {"upstream_inference_cost": "0.00012"}}
    assert reported(way, "/v1/messages") == [dict(body, provider="a", usage={**body["usage"], **ours})]
    assert way.stop() == 0
    pieces = [event("message_start", message={**body, "content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 0}}),
              event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
              event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"}), event("content_block_stop", index=0),
              event("message_delta", provider="Their", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={**theirs, "output_tokens": 7}),
              event("message_stop")]
    way = serve(("a", "anthropic", Provider(pieces), "", "c"))
    got = reported(way, "/v1/messages", stream=True)
    assert got[0]["message"]["provider"] == "a" and got[-2]["usage"] == {**ours, "output_tokens": 7}, got
    assert way.stop() == 0


def refusing(slug, word, status, body, tail=""):
    return (slug, word, Provider([json.dumps(body).encode()], "application/json", status), tail,
            {"gemini": "gemini-2.5-flash", "bedrock": "converse/us.amazon.nova-pro-v1:0"}.get(word, "g"))


QUOTA = {"error": {"code": 429, "message": "Because of «that».", "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}]}}


def test_when_to_come_back_is_told_in_the_header():
    way = serve(refusing("google", "gemini", 429, QUOTA))
    for status, headers, body in (chat(way), way.messages()):
        assert (status, headers["retry-after"]) == (429, "38"), (headers, body)
        assert json.loads(body)["error"]["message"] == "Because of «that».", body
    assert way.stop() == 0


def test_words_of_every_protocol_in_the_attempts():
    way = serve(refusing("amazon", "bedrock", 503, {"message": "Because of «this»."}), refusing("google", "gemini", 429, QUOTA),
                refusing("other", "openai", 500, {"error": {"message": "Because of both.", "type": "server_error"}}, "/v1"))
    status, _, body = way.messages(provider_order=["amazon", "google", "other"])
    told = [(a["provider"], a["status"], a["message"]) for a in json.loads(body)["error"]["attempts"]]
    assert status == 529 and told == [("amazon", 503, "Because of «this»."), ("google", 429, "Because of «that»."),
                                      ("other", 500, "Because of both.")], body
    assert way.stop() == 0


def test_a_stream_that_fails_ends_in_one_shape():
    """Also where the provider had no word for it: a chunk with a number for a code, no [DONE]."""
    text = chunk(b"\n", choice({"content": "x"}))
    word = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
    for row in (("o", "openai", Provider([text]), "/v1", "g"),
                ("a", "anthropic", Provider(claude({"type": "text", "text": ""}, [word])[:3]), "", "c")):
        way = serve(row)
        status, _, body = chat(way, stream=True)
        last = json.loads(body.rstrip(b"\n").rpartition(b"\ndata: ")[2])
        assert status == 200 and body.endswith(b"\n\n") and last["object"] == "chat.completion.chunk", body
        assert last["error"]["code"] == 502 and last["error"]["message"].startswith(row[0] + ": "), last
        assert [c["finish_reason"] for c in last["choices"]] == ["error"], last
        assert way.stop() == 0


def test_the_request_id_where_clients_look_for_it():
    text = [chunk(b"\n", choice({"content": "x"}, "stop")), b"data: [DONE]\n\n"]
    rows = [("o", "openai", Provider(text, headers=[("x-request-id", "req_o")]), "/v1", "g"),
            ("a", "anthropic", Provider(claude({"type": "text", "text": ""}, []), headers=[("request-id", "req_a")]), "", "c")]
    for row in rows:
        way = serve(row)
        for answer, names in ((way.messages(stream=True), ["request-id"]), (chat(way, stream=True), ["request-id", "x-request-id"])):
            assert [answer[1].get(name) for name in names] == ["req_" + row[0]] * len(names), (row[0], answer[1])
        assert way.stop() == 0


def test_very_many_calls():
    """A lookup from the beginning for each result would hold up everybody for long."""
    n = 40000  # near what a body may have of values
    calls = [{"type": "tool_use", "id": "c%d" % i, "name": "f%d" % (i % 7), "input": {}} for i in range(n)]
    results = [{"type": "tool_result", "tool_use_id": "c%d" % i, "content": "r"} for i in reversed(range(n))]
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
              "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}}
    google = Provider([json.dumps(answer).encode()], "application/json")
    way = serve(("google", "gemini", google, "", "gemini-2.5-flash"))
    begun = time.monotonic()
    status, _, body = way.messages(messages=[{"role": "user", "content": "Go."}, {"role": "assistant", "content": calls},
                                             {"role": "user", "content": results}],
                                   tools=[{"name": "f0", "input_schema": {"type": "object"}}])
    assert status == 200, body
    assert time.monotonic() - begun < 5 * SLOW
    parts = json.loads(google.bodies[0])["contents"][-1]["parts"]
    assert [p["functionResponse"]["name"] for p in parts[:3]] == ["f%d" % (i % 7) for i in range(n - 1, n - 4, -1)], parts[:3]
    assert way.stop() == 0


def a_choice_of_two():
    """An endpoint of either protocol, and both list the web search: which is asked is the tools' doing."""
    a = Provider([json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
                              "content": [{"type": "text", "text": "A"}], "usage": {"input_tokens": 9, "output_tokens": 1}}).encode()],
                 "application/json")
    o = Provider([json.dumps({"id": "c1", "object": "chat.completion", "created": 1, "model": "g",
                              "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "O"}}],
                              "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}).encode()], "application/json")
    return a, o, serve(("a", "anthropic", a, "", "c"), ("o", "openai", o, "/v1", "g"))


def test_a_tool_is_told_or_the_endpoint_is_not_asked():
    """Was sent without it, although another endpoint could have been told (and the request said so)."""
    a, o, way = a_choice_of_two()
    for tool in ({"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
                 {"type": "memory_20250818", "name": "memory"}, {"type": "web_search_20250305", "name": "web_search"}):
        for more in ({}, {"tool_choice": {"type": "tool", "name": tool["name"]}}, {"provider_require_parameters": True}):
            body = dict(more, tools=[{"name": "f", "input_schema": {"type": "object"}}, tool])
            status, headers, answer = way.messages(provider_order=["o", "a"], **body)
            assert status == 200 and headers["x-wayfare-provider"] == "a" and "x-wayfare-dropped" not in headers, (tool, headers, answer)
            assert json.loads(a.bodies[-1])["tools"] == body["tools"], a.bodies[-1]
            status, headers, answer = way.messages(provider_only=["o"], **body)
            availability = json.loads(answer)["error"]["availability"]
            assert status == 404 and "capability" in availability["excluded_by"], (status, answer)
            assert [tool["type"] in x["detail"] for x in availability["excluded"] if x["provider"] == "o"] == [True], availability
        dry = json.loads(way.request("POST", "/v1/route", {"model": "m", "max_tokens": 5, "tools": [tool],
                                                          "messages": [{"role": "user", "content": "x"}]})[2])
        assert [p["provider"] for p in dry["plan"]] == ["a"] and dry["dropped"] == [], dry
        assert [(x["provider"], x["reason"], tool["type"] in x["detail"]) for x in dry["excluded"]] == [("o", "capability", True)], dry
    assert not o.bodies
    plain = [{"type": "custom", "name": "f", "input_schema": {"type": "object"}}]
    status, headers, _ = way.messages(provider_order=["o", "a"], tools=plain)
    assert status == 200 and headers["x-wayfare-provider"] == "o", headers
    assert way.stop() == 0


def test_a_search_asked_for_in_words_of_openai():
    a, o, way = a_choice_of_two()
    for body in ({"tools": [{"type": "web_search"}]}, {"plugins": [{"id": "web"}]}, {"web_search_options": {}},
                 {"search_parameters": {"mode": "on"}}, {"tools": [{"type": "custom", "custom": {"name": "g"}}]}):
        status, headers, answer = chat(way, provider_order=["a", "o"], **body)
        assert status == 200 and headers["x-wayfare-provider"] == "o" and "x-wayfare-dropped" not in headers, (body, headers, answer)
        name = next(iter(body))
        assert json.loads(o.bodies[-1])[name] == body[name], o.bodies[-1]
        status, _, answer = chat(way, provider_only=["a"], **body)
        assert status == 404 and b"cannot be told" in answer, (body, status, answer)
    assert not a.bodies
    function = [{"type": "function", "function": {"name": "f"}}]
    status, headers, _ = chat(way, provider_order=["a", "o"], tools=function)
    assert status == 200 and headers["x-wayfare-provider"] == "a", headers
    dry = json.loads(way.request("POST", "/v1/route", {"model": "m", "max_tokens": 5, "tools": function,
                                                        "messages": [{"role": "user", "content": "x"}]})[2])
    assert {p["provider"] for p in dry["plan"]} == {"a", "o"}, dry  # though it reads such a body as the other door's
    assert way.stop() == 0


def test_what_a_provider_is_not_told_is_named():
    """Members without a place in its protocol, known or not; the dry run says the same."""
    a, o, way = a_choice_of_two()
    said = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
    kept = {"stop": ["x"], "route": "fallback", "n": 1, "usage": {"include": False}, "moderation": None, "plugins": []}
    lost = {"store": True, "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h",
            "mcp_servers": [{}], "diagnostics": {}, "context_management": {"edits": []}, "session_id": "s", "some_future_field": 1}
    status, headers, answer = chat(way, provider_order=["a"], **kept, **lost)
    assert status == 200 and headers["x-wayfare-dropped"].split(", ") == list(lost), (headers, answer)
    odd = {"a\r\nset-cookie: x": 1, "ä": 2, "x" * 500: 3}
    status, headers, answer = chat(way, provider_order=["a"], **odd)
    assert status == 200 and headers["x-wayfare-dropped"] == "other" and "set-cookie" not in headers, (headers, answer)
    status, headers, answer = chat(way, provider_order=["a"], **{"m%03d%s" % (i, "y" * 36): i for i in range(900)})
    names = headers["x-wayfare-dropped"].split(", ")
    assert status == 200 and names[0] == "m000" + "y" * 36 and names[-1] == "other" and len(names) == 17, (names, answer)
    status, headers, _ = chat(way, provider_order=["o"], **kept, **{k: v for k, v in lost.items() if k != "session_id"})
    assert status == 200 and "x-wayfare-dropped" not in headers, headers  # its own protocol: it is told them
    lost = {"fallback_credit_token": "t", "stop_server_tools_when": {}, "user": "u", "session_id": "s", "trace": {"a": 1},
            "context_management": {"edits": []}, "some_future_field": 1}
    body = dict(said, provider_order=["o"], metadata={"user_id": "u"}, temperature=1, route="fallback", betas=None, **lost)
    status, headers, answer = way.messages(body)
    assert status == 200 and headers["x-wayfare-dropped"].split(", ") == list(lost), (headers, answer)
    assert json.loads(way.request("POST", "/v1/route", body)[2])["dropped"] == list(lost)
    status, headers, _ = way.messages(dict(body, provider_order=["a"]))
    assert status == 200 and "x-wayfare-dropped" not in headers, headers
    assert way.stop() == 0


run_module(globals())
