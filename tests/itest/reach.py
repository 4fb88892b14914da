#!/usr/bin/env python3
"""Where a request may point a call at: a base_url of provider_configs reaches public addresses of
allowed hosts only, however it is spelled and whatever its name means by then; and a provider whose
name resolves slowly, or not at all, holds up nobody else.

The cases with names run in a network namespace of their own, with a name server and addresses that
this file makes up; where namespaces are not permitted they are skipped."""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from harness import Report, SLOW, Wayfare, endpoint, price, provider
from rawprovider import Liveness, RawProvider

INSIDE = "--inside"
PUBLIC, PRIVATE = "203.0.113.5", "10.66.0.1"
STALL_S = 2.0  # of the loop, on a busy machine too; what is resolved in less is no proof, the slow names take three and more
CONNECT_MS = 1500
ANSWER_S = 6 * max(1, SLOW)
DENIED = "provider_configs may not reach"

report = Report()


def catalog(*providers):
    return {"providers": list(providers), "models": [
        {"id": "test/" + p["slug"], "aliases": [p["slug"]],
         "endpoints": [endpoint(p["slug"], "up", price("1", "5"))]} for p in providers]}


def server(providers, allow=(), **more):
    args = [a for host in allow for a in ("--allow-base-url", host)]
    return Wayfare(catalog(*providers), args=args, threads=1, key_args=["--allow-provider-configs"], **more)


def ask(way, model, base_url=None, path="/v1/messages", **config):
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    if base_url:
        body["provider_configs"] = {model: dict(config, base_url=base_url)}
    status, headers, data = way.request("POST", path, body)
    return status, data.decode()


def connections(raw):
    return raw.connections


# ---- spellings ----

# What libcurl, left alone, takes for 127.0.0.1 or 0.0.0.0; none is an address as people write it, so
# an entry for it is no word of the operator's for a private address.
SPELLINGS = ["127.1", "127.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001", "0x7f.1", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1",
             "0177.1", "0177.0.0.1", "0177.0.0.01", "127.0x1", "127.0.0x0.1", "127.00.00.01", "00000177.0.0.1", "0x0000007f.1", "0",
             "0x0", "00", "0.0", "127.65537"]
LITERALS = ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "0.0.0.0",
            "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]"]


def spelling(way, raw, host):
    before = raw.connections
    status, text = ask(way, "alpha", "http://%s:%d" % (host, raw.port))
    assert raw.connections == before, "a socket was opened: %d %s" % (status, text)
    assert status == 529 and DENIED in text, (status, text)


def literal_refused(way, raw, host):
    before = raw.connections
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route"):
        status, text = ask(way, "alpha", "http://%s:%d" % (host, raw.port), path)
        assert status == 403 and "base_url" in text, (path, status, text)
    assert raw.connections == before


def operators_word(way, raw):
    before = raw.connections
    status, text = ask(way, "alpha", "http://127.0.0.1:%d" % raw.port)
    assert status == 200 and raw.connections == before + 1, (status, text)
    status, text = ask(way, "alpha", "http://localhost:%d" % raw.port)
    assert status == 200, (status, text)
    assert ask(way, "alpha", "http://127.0.0.1:%d" % raw.port, "/v1/route")[0] == 200


def catalog_is_free(way, raw):
    """The operator's own catalog names loopback: nobody is asked."""
    before = len(raw.requests)
    assert ask(way, "alpha")[0] == 200 and len(raw.requests) == before + 1


def kept_connections_are_not_shared(way, raw):
    """A connection that the catalog's base_url left open is not there for the same address in a request
    that may not open it."""
    assert ask(way, "odd")[0] == 200
    before = len(raw.requests)
    status, text = ask(way, "odd", "http://127.1:%d" % raw.port)
    assert status == 529 and DENIED in text and len(raw.requests) == before, (status, text)


def health_is_not_others_business(way):
    """What a request's own address does says nothing about the endpoint."""
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    for _ in range(12):
        assert ask(way, "alpha", "http://127.0.0.1:%d" % free.getsockname()[1])[0] == 529
    free.close()
    listing = json.loads(way.request("GET", "/v1/models/test/alpha/endpoints")[2])
    assert [e["status"] for e in listing["data"]["endpoints"]] == [0], listing


def entries_are_checked():
    way = server([provider("alpha", "http://127.0.0.1:9")])
    for entry in ("http://llm.example", "llm.example:443", "a@b", "*.example", "private:"):
        done = way.cli("serve", "--allow-base-url", entry, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", check=False)
        assert done.returncode == 2 and "allow-base-url" in done.stderr, (entry, done.returncode, done.stderr)
    way.stop()


def spellings():
    raw = RawProvider()
    way = server([provider("alpha", raw.url), provider("odd", "http://127.1:%d" % raw.port)],
                 SPELLINGS + ["127.0.0.1", "localhost"])
    for host in SPELLINGS:
        report.case("a spelling is no way in: " + host, spelling, way, raw, host)
    for host in LITERALS:
        report.case("an address that is not listed: " + host, literal_refused, way, raw, host)
    report.case("a private address that the operator names is his word", operators_word, way, raw)
    report.case("the catalog may name any address", catalog_is_free, way, raw)
    report.case("kept connections are not shared", kept_connections_are_not_shared, way, raw)
    report.case("the endpoint's health is its own", health_is_not_others_business, way)
    report.case("the ledger", way.verify)
    way.stop()
    report.case("entries that are no hosts", entries_are_checked)


# ---- names: inside the namespace ----


class NameServer:
    """Answers A and AAAA for *.test from a table; a row is a list of answers, taken in turn: each a list of
    addresses, [] for none, None for silence; delays in seconds by name."""

    def __init__(self, zone, delays):
        self.zone, self.delays, self.turn, self.asked = zone, delays, {}, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data, peer = self.sock.recvfrom(4096)
            threading.Thread(target=self._answer, args=(data, peer), daemon=True).start()

    def _answer(self, data, peer):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
            at += 1 + data[at]
        question = data[12:at + 5]
        kind = struct.unpack(">H", data[at + 1:at + 3])[0]
        name = ".".join(labels)
        self.asked.append(name)
        family, length = {1: (socket.AF_INET, 4), 28: (socket.AF_INET6, 16)}.get(kind, (None, 0))
        rows = self.zone.get(name)
        turn = self.turn[(name, kind)] = self.turn.get((name, kind), -1) + 1
        addresses = rows[turn % len(rows)] if rows else []
        if addresses is None:
            return
        time.sleep(self.delays.get(name, 0))
        wanted = [a for a in addresses if (":" in a) == (kind == 28)] if family else []
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, length) + socket.inet_pton(family, a) for a in wanted)
        flags = 0x8180 if rows else 0x8183
        self.sock.sendto(data[:2] + struct.pack(">HHHHH", flags, 1, len(wanted), 0, 0) + question + records, peer)


ZONE = {
    "public.test": [[PUBLIC]], "both.test": [[PRIVATE, PUBLIC]], "inside.test": [[PRIVATE]], "loop.test": [["127.0.0.1"]],
    "loop6.test": [["::1"]], "mapped.test": [["::ffff:10.66.0.1"]], "unique.test": [["fd00::1"]], "meta.test": [["169.254.169.254"]],
    "zero.test": [["0.0.0.0"]], "rebind.test": [[PUBLIC], [PRIVATE]], "corp.test": [[PRIVATE]],
    "slow.test": [[PUBLIC]], "slower.test": [[PUBLIC]], "silent.test": [None], "lame.test": [[]],
}
DELAYS = {"slow.test": 0.4, "slower.test": 3.0}
FORBIDDEN = ["inside.test", "loop.test", "loop6.test", "mapped.test", "unique.test", "meta.test", "zero.test"]


def resolves_to_denied(way, raws, host):
    before = sum(map(connections, raws))
    status, text = ask(way, "alpha", "http://%s:%d" % (host, raws[0].port))
    assert status == 529 and DENIED in text, (status, text)
    assert sum(map(connections, raws)) == before


def public_names(way, public):
    for host in ("public.test", "both.test"):
        before = public.connections
        status, text = ask(way, "alpha", "http://%s:%d" % (host, public.port))
        assert status == 200 and public.connections > before, (host, status, text)


def rebinding(way, public, private):
    """The name is public when it is looked up first, and private the next time (for another port, since
    what was found is remembered for a while)."""
    status, text = ask(way, "alpha", "http://rebind.test:%d" % public.port)
    assert status == 200, (status, text)
    status, text = ask(way, "alpha", "http://rebind.test:%d" % private.port)
    assert status == 529 and DENIED in text and private.connections == 0, (status, text)


def private_mark(way, private):
    status, text = ask(way, "alpha", "http://corp.test:%d" % private.port)
    assert status == 200 and private.connections == 1, (status, text)


def named_provider(slug, host, port):
    return provider(slug, "http://%s:%d" % (host, port), timeouts={"connect_ms": CONNECT_MS})


def resolution(way, model, wanted, least_s=0.0):
    """An answer in time, from a loop that was free for others all the while."""
    began = time.monotonic()
    with Liveness(way) as live:
        status, text = ask(way, model)
        took = time.monotonic() - began
    assert status in wanted, (status, text)
    assert least_s <= took <= ANSWER_S, took
    assert live.worst_s <= STALL_S and live.asked > 0, (live.worst_s, live.asked)


def many_at_once(way, model, n):
    """More look-ups than any pool of resolvers has threads: others are served."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(ask(way, model)[0])) for _ in range(n)]
    with Liveness(way) as live:
        for t in threads:
            t.start()
        status, text = ask(way, "numbered")
        assert status == 200, (status, text)
        for t in threads:
            t.join()
    assert set(results) <= {504, 529} and len(results) == n, results
    assert live.worst_s <= STALL_S * 2, live.worst_s


def gone_while_resolving(way):
    """The client leaves while its provider's name is looked up: nobody waits for the resolver."""
    body = json.dumps({"model": "silent", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}).encode()
    with Liveness(way) as live:
        sock = socket.create_connection((way.host, way.port))
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n" %
                     (way.key.encode(), len(body)) + body)
        time.sleep(0.2)
        sock.close()
        time.sleep(0.5)
    assert live.worst_s <= STALL_S, live.worst_s


def names():
    NameServer(ZONE, DELAYS)
    public = RawProvider(address=PUBLIC)
    private = RawProvider(address=PRIVATE)
    others = [RawProvider(address=a) for a in ("127.0.0.1", "::1", "fd00::1", "169.254.169.254")]
    way = server([provider("alpha", public.url)], FORBIDDEN + ["public.test", "both.test", "rebind.test", "private:corp.test"])
    for host in FORBIDDEN:
        for raw in [private] + others:
            report.case("%s, port %d" % (host, raw.port), resolves_to_denied, way, [raw, private, public] + others, host)
    report.case("public addresses are reached", public_names, way, public)
    report.case("rebinding", rebinding, way, public, private)
    report.case("a name that the operator says is private", private_mark, way, private)
    report.case("the ledger", way.verify)
    way.stop()
    way = server([named_provider("slow", "slow.test", public.port), named_provider("slower", "slower.test", public.port),
                  named_provider("silent", "silent.test", public.port), named_provider("lame", "lame.test", public.port),
                  named_provider("gone", "nothing.test", public.port), provider("numbered", public.url)])
    report.case("a name that takes a while", resolution, way, "slow", (200,), DELAYS["slow.test"])
    report.case("a name that takes longer than connect_ms", resolution, way, "slower", (504, 529), CONNECT_MS / 1000)
    report.case("a name server that is silent", resolution, way, "silent", (504, 529), CONNECT_MS / 1000)
    report.case("a name without addresses", resolution, way, "lame", (529,))
    report.case("a name that does not exist", resolution, way, "gone", (529,))
    report.case("a hundred look-ups at once", many_at_once, way, "silent", 100)
    report.case("clients that leave while names are looked up", gone_while_resolving, way)
    report.case("the ledger, again", way.verify)
    report.case("the end is not held up", lambda: way.stop(seconds=15))


def enter():
    """Files and addresses of the namespace; this process is root in it."""
    with tempfile.TemporaryDirectory() as d:
        files = {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:8\n", "hosts": "127.0.0.1 localhost\n",
                 "nsswitch.conf": "hosts: files dns\n"}
        for name, text in files.items():
            path = os.path.join(d, name)
            with open(path, "w") as f:
                f.write(text)
            subprocess.run(["mount", "--bind", path, "/etc/" + name], check=True)
        for address in ("127.0.0.1/8", PUBLIC + "/32", PRIVATE + "/32", "169.254.169.254/32", "fd00::1/128"):
            subprocess.run(["ip", "addr", "replace", address, "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        names()
        report.end()


def main():
    if INSIDE in sys.argv:
        enter()
    spellings()
    try:
        permitted = subprocess.run(["unshare", "-rnm", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
        why = permitted.stderr.strip() if permitted.returncode != 0 else None
    except FileNotFoundError as e:
        why = str(e)
    if why is not None:
        report.skip("names", "no network namespace of our own here: " + why)
        report.end()
    done = subprocess.run(["unshare", "-rnm", sys.executable, os.path.abspath(__file__), INSIDE], stdout=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    print("\n".join(lines[:-1]), flush=True)
    counts = [int(w) for w in (lines or [""])[-1].replace(",", "").split() if w.isdigit()]
    if len(counts) != 3:
        print("\n".join(lines[-1:]), "\nnot ok names: ended with", done.returncode, flush=True)
        counts = [0, 1, 0]
    report.passed, report.failed, report.skipped = (a + b for a, b in zip((report.passed, report.failed, report.skipped), counts))
    report.end()


if __name__ == "__main__":
    main()
