#!/usr/bin/env python3
"""TLS on the data listener: which versions, bad certificates at the start, slow readers and clients
that leave, certificates that are renewed while it runs, and a storm of reloads."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import warnings

from crowd import Load, metric
from harness import SLOW, WAYFARE, Sim, Wayfare, catalog_of, run_module, sse_events, wait_for

warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions that are tried
sim = Sim(["one", "two"])
CATALOG = catalog_of(sim)
work = tempfile.mkdtemp(prefix="wayfare-tls-")


def certificate(name, algorithm=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """A pair for 127.0.0.1: texts of certificate and key."""
    cert, key = (os.path.join(work, name + "." + x) for x in ("crt", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return [open(p).read() for p in (cert, key)]


FIRST = certificate("first")
SECOND = certificate("second", ("rsa:2048",))
USED = [os.path.join(work, "used.crt"), os.path.join(work, "used.key")]
ARGS = ["--tls-cert", USED[0], "--tls-key", USED[1]]


def place(pair):
    """As certificate tools do: a new file takes the place of the old one."""
    for path, text in zip(USED, pair):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)


class Secure(Wayfare):
    """Clients that trust these certificates and nothing else."""

    trusted = ssl.create_default_context(cadata=FIRST[0] + SECOND[0])

    def connect(self):
        return http.client.HTTPSConnection(self.host, self.port, timeout=60 * SLOW, context=self.trusted)

    def socket(self, context=None):
        plain = socket.create_connection((self.host, self.port), timeout=30 * SLOW)
        return (context or self.trusted).wrap_socket(plain, server_hostname=self.host)

    def shown(self):
        with self.socket() as s:
            return hashlib.sha256(s.getpeercert(binary_form=True)).hexdigest()

    def post(self, sock, **fields):
        body = json.dumps(dict({"model": "m", "max_tokens": 4000, "stream": True,
                                "messages": [{"role": "user", "content": "x"}]}, **fields)).encode()
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: " + self.key.encode() +
                     b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def fingerprint(pair):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair[0])).hexdigest()


place(FIRST)
way = Secure(CATALOG, args=ARGS)


def test_answers():
    assert way.messages()[0] == 200
    status, _, body = way.messages(stream=True)
    assert status == 200 and sse_events(body)[-1][0] == "message_stop"
    assert way.request("GET", "/health/ready")[0] == 200
    assert way.shown() == fingerprint(FIRST)
    assert 0 < metric(way, "wayfare_tls_certificate_expires_seconds") - time.time() < 3 * 86400


def test_versions():
    def version(which):
        context = ssl.create_default_context(cadata=FIRST[0])
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = which
        try:
            with way.socket(context) as s:
                return s.version()
        except (ssl.SSLError, ConnectionError):
            return None

    assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert version(ssl.TLSVersion.TLSv1_1) is None
    assert version(ssl.TLSVersion.TLSv1) is None
    with socket.create_connection((way.host, way.port), timeout=10 * SLOW) as s:  # no TLS at all
        s.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b"200" not in s.recv(1000)
        except ConnectionResetError:
            pass
    assert way.messages()[0] == 200


def test_bad_pairs_at_the_start():
    cases = [
        (SECOND[0], FIRST[1], "cannot be used"),
        ("no certificate\n", FIRST[1], "cannot be used"),
        (FIRST[0], "no key\n", "cannot be used"),
        (FIRST[0], "", "cannot read the PEM file"),
        (None, FIRST[1], "bad.crt: No such file"),
    ]
    for cert, key, text in cases:
        paths = [os.path.join(work, "bad.crt"), os.path.join(work, "bad.key")]
        for path, content in zip(paths, (cert, key)):
            if content is None:
                os.unlink(path)
                continue
            with open(path, "w") as f:
                f.write(content)
        done = subprocess.run([WAYFARE, "serve", "--db", os.path.join(work, "x.db"), "--listen", "127.0.0.1:0", "--admin-listen",
                               "127.0.0.1:0", "--tls-cert", paths[0], "--tls-key", paths[1]],
                              capture_output=True, text=True, timeout=30 * SLOW)
        assert done.returncode == 1 and text in done.stderr and work in done.stderr, (text, done)
        lines = [x for x in done.stderr.splitlines() if not x.startswith("time=")]
        assert len(lines) == 1 and lines[0].startswith("wayfare: "), done.stderr


def test_a_slow_reader_gets_all():
    sim.script("one", output_tokens=3000, tps=100000)
    with way.socket() as s:
        way.post(s, provider_only=["one"])
        data = b""
        for i in range(200):
            data += s.recv(512)
            time.sleep(0.002)
        while piece := s.recv(65536):
            data += piece
    assert data.count(b"content_block_delta") > 1000 and b"message_stop" in data, data[-200:]
    sim.reset()


def test_a_client_that_leaves():
    sim.script("one", output_tokens=4000, tps=20)

    def seen():
        return sum(1 for w in sim.witness() if w["event"] == "end" and w["ended"] == "client_closed")

    before = seen()
    s = way.socket()
    way.post(s, provider_only=["one"])
    data = b""
    while b"message_start" not in data:
        data += s.recv(65536)
    s.close()
    wait_for("the provider to see it", lambda: seen() > before)
    wait_for("the attempt's end", lambda: metric(way, "wayfare_ledger_running") == 0)
    sim.reset()


def test_a_renewed_certificate():
    """The next connection gets it; a stream on an older one goes on; a bad one changes nothing."""
    sim.script("one", output_tokens=60, tps=40)
    with way.socket() as s:
        way.post(s, provider_only=["one"])
        data = s.recv(65536)
        place(SECOND)
        way.child.send_signal(signal.SIGHUP)
        wait_for("the new certificate", lambda: way.shown() == fingerprint(SECOND))
        while piece := s.recv(65536):
            data += piece
    assert b"message_stop" in data, data[-200:]
    sim.reset()
    place([FIRST[0], SECOND[1]])
    way.child.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: "the old certificate stays" in way.server_log())
    assert way.shown() == fingerprint(SECOND) and way.messages()[0] == 200
    place(FIRST)
    way.child.send_signal(signal.SIGHUP)
    wait_for("the first certificate", lambda: way.shown() == fingerprint(FIRST))


def change_catalog(i):
    """A price that changes and changes back; a file that is refused."""
    for prices in ("2", "1"):
        changed = json.loads(json.dumps(CATALOG))
        changed["models"][0]["endpoints"][0]["pricing"]["prompt"] = prices
        way.import_catalog(changed)
    path = os.path.join(way.dir, "bad.json")
    with open(path, "w") as f:
        json.dump({"providers": [{"slug": "!"}], "models": CATALOG["models"]}, f)
    assert way.cli("catalog", "import", path, check=False).returncode == 1


def test_a_storm_of_reloads():
    """A hundred under load; before half of them the certificate is spoilt, between some the catalog is
    changed: no request notices, and what was good stays."""
    reloads, failed = (metric(way, "wayfare_reloads" + x) for x in ("_total", "_failed_total"))
    with Load(way, 4) as load:
        for i in range(1, 101):
            place(["no certificate\n", FIRST[1]] if i % 2 == 0 else FIRST)
            if i % 25 == 10:
                change_catalog(i)
            way.child.send_signal(signal.SIGHUP)
            wait_for("reload %d" % i, lambda: metric(way, "wayfare_reloads_total") == reloads + i)
        load.wait_for_more(8)
    assert not load.faults(), load.faults()[:5]
    assert metric(way, "wayfare_reloads_failed_total") == failed + 50
    assert way.shown() == fingerprint(FIRST)


def test_the_end():
    assert way.stop() == 0
    way.verify()
    shutil.rmtree(work)


if __name__ == "__main__":
    run_module(globals())
