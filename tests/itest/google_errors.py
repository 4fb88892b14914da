#!/usr/bin/env python3
"""What Google says in the body of an error against its status: a key that is not valid is the operator's
matter though it comes as 400; when to come back stands in the body, not in a header."""

import http.server
import json
import threading

from harness import Report, Sim, Wayfare, catalog_of, endpoint, price, provider

report = Report()
sim = Sim(["second"])


class Gemini:
    """Answers every request with one error."""

    def __init__(self, code, status, details):
        answer = json.dumps({"error": {"code": code, "message": "What Google says.", "status": status,
                                       "details": details}}).encode()
        self.paths = []
        gemini = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                gemini.paths.append(self.path)
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def serve(self, second):
        catalog = catalog_of(sim)
        catalog["providers"].append(provider("google", self.url, protocol="gemini"))
        catalog["models"][0]["endpoints"] = [endpoint("google", "gemini-3-flash", price("1", "5"))]
        if second:
            catalog["models"][0]["endpoints"].append(endpoint("second", "m-second", price("9", "9")))
        return Wayfare(catalog)


BAD_KEY = (400, "INVALID_ARGUMENT", [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                                      "domain": "googleapis.com"}])
QUOTA = (429, "RESOURCE_EXHAUSTED", [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}])
CLIENTS_OWN = (400, "INVALID_ARGUMENT", [])


def ask(way):
    status, headers, body = way.messages(provider_order=["google"])
    return status, headers, json.loads(body)


def test_bad_key_is_the_operators():
    gemini = Gemini(*BAD_KEY)
    way = gemini.serve(second=False)
    status, _, body = ask(way)
    assert (status, body["error"]["type"]) == (502, "api_error"), body
    assert gemini.paths == ["/v1beta/models/gemini-3-flash:generateContent"]
    assert way.stop() == 0


def test_bad_key_leads_on():
    way = Gemini(*BAD_KEY).serve(second=True)
    status, headers, body = ask(way)
    assert (status, headers["x-wayfare-provider"], headers["x-wayfare-attempts"]) == (200, "second", "2"), body
    assert way.stop() == 0


def test_quota_says_when():
    gemini = Gemini(*QUOTA)
    way = gemini.serve(second=True)
    status, headers, body = ask(way)
    assert (status, headers["x-wayfare-provider"]) == (200, "second"), body
    # It is much cheaper, but held back: nearly every request would go there first.
    for _ in range(8):
        status, headers, _ = way.messages()
        assert (status, headers["x-wayfare-provider"], headers["x-wayfare-attempts"]) == (200, "second", "1"), headers
    assert len(gemini.paths) == 1, gemini.paths
    assert way.stop() == 0


def test_the_clients_own_stays():
    way = Gemini(*CLIENTS_OWN).serve(second=True)
    status, _, body = ask(way)
    assert (status, body["error"]) == (400, {"type": "invalid_request_error", "message": "What Google says."}), body
    assert way.stop() == 0


for test in (test_bad_key_is_the_operators, test_bad_key_leads_on, test_quota_says_when, test_the_clients_own_stays):
    report.case(test.__name__[5:], test)
report.end()
