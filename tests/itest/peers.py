#!/usr/bin/env python3
"""What other gateways got wrong between the two protocols, by the numbers of their issues.

litellm is BerriAI/litellm, bifrost maximhq/bifrost, envoy envoyproxy/ai-gateway, portkey
Portkey-AI/gateway, ccr musistudio/claude-code-router, CLIProxyAPI router-for-me/CLIProxyAPI.  "here" is
this file; "translate" is tests/itest/translate.py; other names are of tests/unit and tests/golden.

  litellm#34692      end_turn although a tool is called          translate known_litellm_34692, golden
                                                                 openai stop-although-a-tool-is-called
  litellm#32357      two message_start; thinking in a text       translate known_litellm_32357, golden
                     block                                       anthropic thinking_delta_inside_text_block
  litellm#25321      arguments lost where a call begins          translate known_litellm_25321, golden
    #25561, #29491                                               openai tool-placeholder-arguments ...
  litellm#29518      reasoning_content becomes no thinking       here; golden deepseek reasoning-content
                     block in a stream
  litellm#22997      thinking goes to a chat server as a part    here; table openai/thinking.txt
                     of type "thinking": 400
  litellm#26916      thinking comes back as words that were said here; table openai/thinking.txt
  litellm#15601      Claude, a tool loop of a client that keeps  here
                     no thinking: 400, "Expected `thinking`"
  bifrost#970        counting tokens became a paid completion    translate known_bifrost_970
  bifrost#1354       arguments of OpenRouter's calls are empty   as litellm#25321
  bifrost#1479       a small thinking budget (Claude Code asks   here
                     for 500) fails
  bifrost#3456       Claude Code to DeepSeek's /anthropic: its   here
                     thinking does not come back as it was
  bifrost#6342       thinking between calls is moved: 400 for    here; anthropic_write
                     as long as the conversation lives           test_thinking_keeps_its_place_bifrost_6342
  envoy#805          a request of 1 MB, to be streamed: 500      here
  envoy#1894         a compressed stream of Claude on Vertex:    here
                     200 with 0 bytes
  envoy#2227         413 at 32 KiB                               translate known_envoy_2227
  portkey#267        200 with "Network connection lost." inside  here
  portkey#1399       chunks that name no role                    here; openai_door_write
                                                                 test_a_stream_of_text
  litellm#34374      silence kills clients                       translate silence
    #34819, #31865, #37322
  litellm#15006      count_tokens for administrators only        translate known_bifrost_970
  CLIProxyAPI#420    not found in what is kept of its issues.  Its neighbours: #407, a tool without a
                     schema (anthropic_write test_tools); #425, thinking beside tools leaves neither words
                     nor calls (translate known_litellm_32357); #578, ids that Claude refuses (translate
                     known_conversations_of_only_one_door)
  Of bifrost#3456 only the title and a request are kept; the failure is that of many reports on the same
  way ("The `content[].thinking` in the thinking mode must be passed back to the API.").
"""
import http.server
import json
import threading
import zlib

import translate
from harness import Report, Wayfare, endpoint, price, provider
from matrix_doors import DOORS, Talk, text
from translate import ARGUMENTS, LONG, NAMES, SIGNING, TEXT, THOUGHTS, TOOLS, Cell, ask_text, called, is_native

ANTHROPIC, OPENAI = DOORS


def thinking_talk(turns=None):
    return Talk(turns or ask_text(), tools=TOOLS, max_tokens=4000, thinking=2000)


def litellm_29518_reasoning_is_thinking():
    """Whichever name it has, beside words or only before a call; as blocks that begin as thinking."""
    for field in ("reasoning_content", "reasoning", "parts"):
        for said in ({"text": TEXT}, {"tool": 1, "arguments": json.dumps(ARGUMENTS)}):
            cell = Cell(ANTHROPIC, "openai", True, thinking_talk(), thinking=1, thoughts=THOUGHTS, output_tokens=80,
                        reasoning_field=field, event_tokens=1, **said)
            assert cell.answer.thinking == THOUGHTS, (field, said, cell.answer.thinking)
            assert cell.body.count(b'"content_block":{"type":"thinking"') == 1, cell.body


def litellm_22997_26916_thinking_is_not_said_again():
    """Whoever thought it: it goes back as thinking to who takes it, and to nobody as words or as a part
    of an unknown type (the simulator refuses those)."""
    for door in DOORS:
        for first in ("openai", "anthropic", "gemini"):
            told = Cell(door, first, False, thinking_talk(), text=TEXT, tool=1, output_tokens=80, thinking=1,
                        thoughts=THOUGHTS, arguments=json.dumps(ARGUMENTS))
            for protocol in NAMES:
                if is_native(door, protocol):
                    continue  # bytes pass
                cell = Cell(door, protocol, True, translate.answered(told), text=TEXT, thinking=0)
                words = [b["text"] for b in cell.heard.of_kind("text")] + cell.heard.system
                assert TEXT in words and not any(THOUGHTS in w for w in words), (first, protocol, words)


def litellm_15601_a_loop_without_its_thinking():
    """OpenAI's clients keep no thinking.  Claude refuses to think on in a loop that it did not begin
    with a thought: it is asked not to think, and that is named."""
    for protocol in SIGNING:
        for stream in (False, True):
            for wanted, given_up in (({"reasoning": {"max_tokens": 2000}}, ["reasoning"]), ({"reasoning_effort": "high"}, [])):
                turns = ask_text() + [
                    ("assistant", [{"kind": "call", "id": "call_1", "name": "weather", "arguments": ARGUMENTS}]),
                    ("user", [{"kind": "result", "id": "call_1", "text": "Sonnig"}])]
                cell = Cell(OPENAI, protocol, stream, Talk(turns, tools=TOOLS, max_tokens=4000, **wanted), text=TEXT)
                cell.said()
                assert cell.dropped == given_up, (protocol, wanted, cell.dropped)


def bifrost_1479_a_small_budget():
    """Claude refuses 500, and says so to its own client; nobody else does, nor do we."""
    for protocol in NAMES:
        talk = Talk(ask_text(), max_tokens=4000, thinking=500)
        refused = 400 if protocol in SIGNING and protocol != "bedrock-converse" else None
        cell = Cell(ANTHROPIC, protocol, False, talk, error=refused, text=TEXT, thinking=0)
        assert cell.line is not None, (protocol, cell.body)  # it got there
        if refused is None:
            cell.said()


def raw_turn(thoughts, maker):
    """Thinking at three places, between words and calls."""
    signed = [{"type": "thinking", "thinking": t, "signature": maker + s} for t, s in thoughts]
    return [signed[0], {"type": "text", "text": "First."}, signed[1],
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS}, signed[2],
            {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}]


def thoughts_in_place(protocol, thoughts, maker=""):
    turns = ask_text() + [("assistant", [{"kind": "raw", "raw": raw_turn(thoughts, maker)}]),
                          ("user", [{"kind": "result", "id": "toolu_1", "text": "Sonnig"},
                                    {"kind": "result", "id": "toolu_2", "text": "noon"}])]
    cell = Cell(ANTHROPIC, protocol, True, thinking_talk(turns), text=TEXT, thinking=0)
    blocks = next(b for role, b in cell.heard.turns if role == "assistant")
    assert [b["kind"] for b in blocks] == ["thinking", "text", "thinking", "call", "thinking", "call"], blocks
    have = [(b["text"], b["signature"]) for b in blocks if b["kind"] == "thinking"]
    assert have == thoughts, (protocol, have)


def bifrost_3456_signatures_of_another_maker():
    """DeepSeek signs with the id of its message, and thoughts may be empty."""
    name = "91cfbb94-554b-4136-8e21-fa02280d56ed"
    thoughts_in_place("anthropic", [("We look.", name), ("", name), ("And the clock?", name)])


def bifrost_6342_thinking_keeps_its_place():
    for protocol in SIGNING:
        maker = "wf:bedrock:" if protocol == "bedrock-converse" else ""  # how its own come to the client
        thoughts_in_place(protocol, [("We look.", "czE="), ("", "czI="), ("And the clock?", "czM=")], maker)


def envoy_805_a_large_request_to_be_streamed():
    large = "x" * 1014506
    for door in DOORS:
        for protocol in NAMES:
            cell = Cell(door, protocol, True, Talk([("user", [text(large)])]), text=TEXT)
            cell.said()
            assert translate.is_shown(cell.heard.of_kind("text")[0]["text"], large), protocol


class Compressed:
    """Claude on Vertex that compresses its stream whether it may or not, an event at a time."""

    def __init__(self):
        self.asked = []  # its accept-encoding
        compressed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                compressed.asked.append(self.headers.get("accept-encoding"))
                self.send_response(200)
                for header in (("content-type", "text/event-stream"), ("content-encoding", "gzip"),
                               ("transfer-encoding", "chunked")):
                    self.send_header(*header)
                self.end_headers()
                packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
                try:
                    for event in compressed.events():
                        self.piece(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH))
                    self.piece(packer.flush())
                    self.wfile.write(b"0\r\n\r\n")
                except ConnectionError:  # the server has seen enough
                    self.close_connection = True

            def piece(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    @staticmethod
    def events():
        usage = {"input_tokens": 9, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                   "stop_reason": None, "stop_sequence": None, "usage": usage}
        for event in ({"type": "message_start", "message": message},
                      {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                      {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
                      {"type": "content_block_stop", "index": 0},
                      {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                       "usage": {"output_tokens": 4}}, {"type": "message_stop"}):
            yield ("event: %s\ndata: %s\n\n" % (event["type"], json.dumps(event))).encode()


def envoy_1894_a_compressed_stream():
    """It is asked for plainly; who compresses all the same has not answered, and the next one does."""
    server, w = Compressed(), translate.get_world()
    at = server.url + translate.PLACE
    providers = [provider("gzip", at, protocol="vertex", region="eu-west-1", credential={"env": "TEST_PROVIDER_KEY"}),
                 provider("plain", w.sim.url["vertex-claude"] + translate.PLACE, protocol="vertex", region="eu-west-1",
                          credential={"env": "TEST_PROVIDER_KEY"})]
    ends = [endpoint(name, "claude-sonnet-4-5@20250929", price("3", "15")) for name in ("gzip", "plain")]
    wf = Wayfare({"providers": providers, "models": [
        {"id": "test/one", "aliases": ["one"], "name": "one", "endpoints": ends[:1]},
        {"id": "test/two", "aliases": ["two"], "name": "two", "endpoints": ends}]}, threads=1)
    w.sim.script("vertex-claude", text=TEXT, input_tokens=100)
    for door in DOORS:
        status, _, body = wf.request("POST", door.path, door.body(Talk(ask_text()), "one", True),
                                     {"accept-encoding": "gzip"})
        assert status == 502 and door.read_error(body)[1], (status, body)
        body = dict(door.body(Talk(ask_text()), "two", True), provider_order=["gzip", "plain"])
        status, headers, answer = wf.request("POST", door.path, body)
        assert (status, headers["x-wayfare-provider"]) == (200, "plain"), (status, headers, answer)
        assert door.read_stream(answer).text == TEXT, answer
    assert set(server.asked) == {"identity"}, server.asked
    wf.verify()
    wf.stop()


def portkey_267_an_error_inside_of_a_200():
    """A body that is no answer is a failure: with a status that says so, and another provider before it."""
    w, lost = translate.get_world(), json.dumps({"html-message": "Network connection lost."})
    for door in DOORS:
        for i, protocol in enumerate(NAMES):
            for stream in (False, True):
                w.sim.script(protocol, body=lost, content_type="application/json")
                body = door.body(Talk(ask_text()), protocol, stream)
                status, _, answer = w.wf.request("POST", door.path, body)
                assert status == 502 and door.read_error(answer)[1], (door.name, protocol, stream, status, answer)
                second = NAMES[(i + 3) % len(NAMES)]
                body = dict(door.body(Talk(ask_text()), "all", stream), provider_order=[protocol, second])
                status, headers, answer, _ = w.ask(door, second, body, text=TEXT)
                assert (status, headers["x-wayfare-provider"]) == (200, second), (door.name, protocol, stream, headers)
                assert (door.read_stream if stream else door.read_json)(answer).text == TEXT, answer
                w.sim.script(protocol)


def portkey_1399_the_first_chunk_has_the_role():
    for protocol in NAMES:
        for said in ({"text": TEXT}, {"tool": 2, "arguments": json.dumps(ARGUMENTS)}):
            cell = Cell(OPENAI, protocol, True, Talk(ask_text(), tools=TOOLS), output_tokens=60, **said)
            chunks = [c for c in OPENAI.events(cell.body) if c != "[DONE]" and c["choices"]]
            assert chunks[0]["choices"][0]["delta"].get("role") == "assistant", (protocol, chunks[0])


def main():
    report = Report()
    for function in (litellm_29518_reasoning_is_thinking, litellm_22997_26916_thinking_is_not_said_again,
                     litellm_15601_a_loop_without_its_thinking, bifrost_1479_a_small_budget,
                     bifrost_3456_signatures_of_another_maker, bifrost_6342_thinking_keeps_its_place,
                     envoy_805_a_large_request_to_be_streamed, envoy_1894_a_compressed_stream,
                     portkey_267_an_error_inside_of_a_200, portkey_1399_the_first_chunk_has_the_role):
        report.case(function.__name__, function)
    report.case("ledger", lambda: translate.get_world().wf.verify())
    report.end()


if __name__ == "__main__":
    main()
