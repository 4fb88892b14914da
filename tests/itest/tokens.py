#!/usr/bin/env python3
"""Service accounts: a key file is exchanged for an access token, which is used, renewed before it
expires, and lost when it cannot be renewed; what a bad file and a bad token endpoint lead to."""

import base64
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

from harness import SLOW, Report, Wayfare, endpoint, price, provider, wait_for

report = Report()
work = tempfile.mkdtemp(prefix="wayfare-tokens-")
key_path = os.path.join(work, "key.pem")
subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key_path],
               check=True, capture_output=True)
subprocess.run(["openssl", "pkey", "-in", key_path, "-pubout", "-out", key_path + ".pub"], check=True)
with open(key_path) as f:
    private_key = f.read()

ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
          "stop_sequence": None, "content": [{"type": "text", "text": "Bonjour"}],
          "usage": {"input_tokens": 3, "output_tokens": 2}}


class Google:
    """A token endpoint and Claude on Vertex AI. `answers`: what the token endpoint says, the last one for
    ever: seconds that the token lives, a status, or "hang"."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.forms, self.times, self.calls, self.given = [], [], [], []
        google = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/token":
                    google.token(self, body)
                else:
                    google.calls.append((self.path, self.headers["authorization"], json.loads(body)))
                    self.reply(200, ANSWER)

            def reply(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, handler, body):
        self.forms.append(urllib.parse.parse_qs(body.decode()))
        self.times.append(time.time())
        what = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if what == "hang":
            time.sleep(30)
        elif isinstance(what, dict):
            handler.reply(200, what)
        elif 400 <= what < 600:
            handler.reply(what, {"error": "invalid_grant", "error_description": "ya29.not-for-logs"})
        else:
            self.given.append("ya29.secret-%d" % len(self.forms))
            handler.reply(200, {"access_token": self.given[-1], "expires_in": what, "token_type": "Bearer"})

    def account(self, **more):
        path = os.path.join(work, "account-%d.json" % len(os.listdir(work)))
        account = {"type": "service_account", "project_id": "p-1", "private_key_id": "kid-1",
                   "private_key": private_key, "client_email": "robot@p-1.example", "token_uri": self.url + "/token"}
        account.update(more)
        with open(path, "w") as f:
            json.dump({k: v for k, v in account.items() if v is not None}, f, indent=2)
        return path

    def serve(self, path=None, **more):
        self.path = path or self.account()
        vertex = provider("vertex", self.url, protocol="vertex", region="europe-west1",
                          credential={"file": self.path}, **more)
        catalog = {"providers": [vertex], "models": [{"id": "test/m", "aliases": ["m"], "name": "M", "endpoints": [
            endpoint("vertex", "claude-x@1", price("1", "5"))]}]}
        return Wayfare(catalog)


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(assertion):
    """The claims of a signed assertion, its signature checked by the openssl command."""
    head, claims, signature = assertion.split(".")
    for name, data in (("signed", (head + "." + claims).encode()), ("signature", unbase64(signature))):
        with open(os.path.join(work, name), "wb") as f:
            f.write(data)
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", key_path + ".pub", "-signature",
                           os.path.join(work, "signature"), os.path.join(work, "signed")], capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(unbase64(head)), json.loads(unbase64(claims))


def ask(way):
    status, _, body = way.messages()
    return status, json.loads(body)


def lacks_credential(way):
    """Why the provider has none; None where it has one."""
    status, _, body = way.request("POST", "/v1/route", {
        "model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]})
    text = body.decode()
    return text if "no_credential" in text else None


def stop(way):
    """Ends the server; nothing of the key and of tokens was logged."""
    begun = time.time()
    assert way.stop() == 0
    log = way.server_log()
    for secret in ("ya29", private_key.split("\n")[1], "assertion", "PRIVATE KEY"):
        assert secret not in log, secret
    return time.time() - begun


def test_exchanged_and_used():
    google = Google(3600)
    way = google.serve()
    status, body = ask(way)
    assert (status, body["content"]) == (200, ANSWER["content"]), body
    path, authorization, sent = google.calls[0]
    assert path == "/v1/projects/p-1/locations/europe-west1/publishers/anthropic/models/claude-x@1:rawPredict", path
    assert authorization == "Bearer ya29.secret-1"
    assert sent["anthropic_version"] == "vertex-2023-10-16" and "model" not in sent, sent
    form = google.forms[0]
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], form
    head, claims = verified(form["assertion"][0])
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}, head
    assert abs(claims.pop("iat") - google.times[0]) < 30 and abs(claims.pop("exp") - google.times[0] - 3600) < 30
    assert claims == {"iss": "robot@p-1.example", "scope": "https://www.googleapis.com/auth/cloud-platform",
                      "aud": google.url + "/token"}, claims
    for _ in range(5):
        assert ask(way)[0] == 200
    assert len(google.forms) == 1, "one token is for all requests"
    stop(way)


def test_renewed_before_it_expires():
    google = Google(4, 4, 3600)
    way = google.serve()
    deadline = time.time() + 7
    while time.time() < deadline or len(google.forms) < 3 and time.time() < deadline + 10 * SLOW:
        begun = time.time()
        assert ask(way)[0] == 200
        number = int(google.calls[-1][1].rsplit("-", 1)[1])
        assert begun < google.times[number - 1] + 4.5, "token %d had expired" % number
        time.sleep(0.2)
    assert len(google.forms) == 3, google.times
    for earlier, later in zip(google.times, google.times[1:]):
        assert 1 < later - earlier < 3.5 * SLOW, google.times
    assert google.calls[-1][1] == "Bearer ya29.secret-3"
    stop(way)


def test_refused_at_first():
    google = Google(400, 400, 3600)
    way = google.serve()
    why = lacks_credential(way)
    assert why and "invalid_grant" in why and "400" in why, why
    assert ask(way)[0] == 404
    wait_for("a token", lambda: lacks_credential(way) is None, 10 * SLOW)
    assert ask(way)[0] == 200
    assert google.times[2] - google.times[1] > 1.5, "tries are further and further apart"
    assert 'msg="no access token" account="robot@p-1.example"' in way.server_log()
    stop(way)


def test_lost_and_found():
    google = Google(3, 503, 503, 3600)
    way = google.serve()
    assert ask(way)[0] == 200
    wait_for("the token's end", lambda: lacks_credential(way), 10 * SLOW)
    assert google.times[0] + 2.5 < time.time(), "not before it expires"
    assert ask(way)[0] == 404
    wait_for("a token", lambda: lacks_credential(way) is None, 15 * SLOW)
    assert ask(way)[0] == 200 and google.calls[-1][1] == "Bearer ya29.secret-4"
    stop(way)


def test_answers_that_are_none():
    for answer in ({}, {"access_token": ""}, {"access_token": "x"}, {"access_token": "x", "expires_in": 0},
                   {"access_token": 5, "expires_in": 60}, {"error": "bad\nline \"q\""}):
        google = Google(answer)
        way = google.serve()
        why = lacks_credential(way)
        assert why and "200 and no token" in why, (answer, why)
        assert "line" not in why, "words of others are not repeated"
        stop(way)


def test_bad_files():
    for more, said in (({"private_key": "no key"}, "private_key cannot sign"),
                       ({"private_key": None}, "lacks client_email, private_key or token_uri"),
                       ({"token_uri": "http://127.0.0.1:1/token"}, "cannot be reached"),
                       ({"token_uri": "file:///etc/passwd"}, "cannot be reached")):
        google = Google(3600)
        way = google.serve(google.account(**more))
        why = lacks_credential(way)
        assert why and said in why, (more, why)
        assert google.forms == []
        stop(way)


def test_plain_token():
    google = Google(500)
    path = os.path.join(work, "plain-token")
    with open(path, "w") as f:
        f.write("plain-access-token\n")
    way = google.serve(path)
    # It names no project: that one must stand in base_url.
    assert ask(way)[0] != 200 and google.calls == []
    way.stop()
    vertex = provider("vertex", google.url + "/v1/projects/p-2/locations/global", protocol="vertex",
                      credential={"file": path})
    way = Wayfare({"providers": [vertex], "models": [{"id": "test/m", "aliases": ["m"], "name": "M", "endpoints": [
        endpoint("vertex", "claude-x@1", price("1", "5"))]}]})
    assert ask(way)[0] == 200
    assert google.calls[0][:2] == ("/v1/projects/p-2/locations/global/publishers/anthropic/models/claude-x@1"
                                   ":rawPredict", "Bearer plain-access-token"), google.calls
    assert google.forms == []
    stop(way)


def test_new_file_on_reload():
    google = Google(3600)
    way = google.serve()
    assert ask(way)[0] == 200
    shutil.copy(google.account(client_email="second@p-1.example"), google.path)
    way.child.send_signal(1)
    wait_for("the new account", lambda: len(google.forms) == 2, 10 * SLOW)
    assert verified(google.forms[1]["assertion"][0])[1]["iss"] == "second@p-1.example"
    wait_for("its token", lambda: ask(way)[0] == 200 and google.calls[-1][1] == "Bearer ya29.secret-2", 10 * SLOW)
    stop(way)


def test_hanging_endpoint():
    google = Google("hang")
    begun = time.time()
    way = google.serve()  # it does not wait for ever
    assert time.time() - begun < 8 * SLOW
    assert "being fetched" in lacks_credential(way)
    assert stop(way) < 3 * SLOW


for test in (test_exchanged_and_used, test_renewed_before_it_expires, test_refused_at_first, test_lost_and_found,
             test_answers_that_are_none, test_bad_files, test_plain_token, test_new_file_on_reload,
             test_hanging_endpoint):
    report.case(test.__name__[5:], test)
shutil.rmtree(work, True)
report.end()
