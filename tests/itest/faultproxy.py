#!/usr/bin/env python3
"""A proxy with faults between Wayfare and its providers.

It reads HTTP/1.1 requests whole, asks the provider, and takes the answer apart into events (SSE,
AWS event streams) to do to it what networks and providers do.  Faults are rules of a lane (one lane
is one listening port in front of one provider), drawn by seed and ordinal: the same seed gives the
same faults.  A request may also bring its own, in its text: [[fault:cut,events=3;slice]].

What has been seen is kept as a log of its own, a second witness beside the simulator's: one record
per request that came in, and one per connection that was ended before any.

In a test:     proxy = FaultProxy({"a": sim.url["a"]}, seed=1); proxy.set("a", fault("latency", ms=50))
As a program:  faultproxy.py --seed 1 --control SOCKET a=http://127.0.0.1:9090 ...
               prints "listening on http://HOST:PORT" per lane; the UNIX socket takes a JSON object a
               line: {"lane": "a", "faults": [{"kind": "latency", "ms": 50}]}, {"lane": "a", "refuse":
               true}, {"log": true} (the records since the last time), {"counts": true}.
Python 3 standard library only."""

import argparse
import asyncio
import fcntl
import json
import os
import random
import re
import select
import socket
import struct
import termios
import threading
import time

# Every fault and its parameters.  A parameter that is a pair is drawn between its two numbers.
# Bytes count the answer's bytes on the wire, head and framing too; events count whole events, and
# None is "not at an event".  how: fin, rst.
KINDS = {
    # instead of an answer
    "accept_rst": {},  # RST when a connection comes, and when a kept one brings a request
    "blackhole": {},  # accepted, read, never answered
    "status": {"code": 500, "retry_after": None},  # an error of the provider's protocol
    # on the whole
    "latency": {"ms": 100},  # before the answer's first byte
    "huge_header": {"bytes": 70000},
    "slice": {"bytes": 1, "pause_ms": 0},
    "bandwidth": {"bytes_per_s": 65536},
    "delay_at": {"bytes": 0, "ms": 100},
    # the connection ends early
    "cut": {"bytes": None, "events": None, "how": "fin"},
    "half_close": {"bytes": None, "events": None},  # FIN, but it goes on reading
    "cut_chunk": {"events": 0, "how": "fin"},  # in the middle of this event's chunk
    "corrupt_chunk": {"events": 0, "how": "letters"},  # letters, long, short
    # the stream says something else
    "duplicate": {"event": 0},
    "drop": {"event": None, "name": None},  # an index (-1: the last), or every event of a name
    "swap": {"event": 0},  # with the one after it
    "error_event": {"events": 1},  # then a proper end
    # after the answer; race: when the next request comes, unread
    "idle_close": {"ms": 0, "how": "fin"},
}
RULE_KEYS = {"share": 1.0, "times": None}
IN_TEXT = re.compile(rb"\[\[fault:([^\]]*)\]\]")
HEAD_MAX, PIECE = 256 * 1024, 64 * 1024
UPSTREAM_WAIT_S = 120
MESSAGES = {429: "rate_limit_error", 529: "overloaded_error", 503: "overloaded_error"}


def fault(kind, **keys):
    """One rule.  share: of the requests, drawn by seed; times: at most so often."""
    known = dict(KINDS[kind], **RULE_KEYS)
    unknown = set(keys) - set(known)
    if unknown:
        raise ValueError("fault %s has no %s" % (kind, ", ".join(sorted(unknown))))
    return dict(known, kind=kind, **keys)


def faults_of_text(text):
    """kind,key=value,...;kind,...  Numbers where they are numbers, LOW-HIGH for a pair."""
    faults = []
    for part in filter(None, text.split(";")):
        kind, *pairs = part.split(",")
        keys = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            low, dash, high = value.partition("-")
            if dash and low.isdigit() and high.isdigit():
                keys[key] = (int(low), int(high))
            else:
                keys[key] = int(value) if re.fullmatch(r"-?\d+", value) else value
        faults.append(fault(kind, **keys))
    return faults


class Cut(Exception):
    """This connection is to end on purpose: by whoever waits for nothing else on it (a descriptor that
    is closed while the loop watches it may be another connection's by then)."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


# ---- sockets ----
def delivered(sock):
    """The peer's kernel has it all (a RST would take back what it has not)."""
    left = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    return left == 0


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def end(sock, how):
    """fin, rst, half_close (FIN; reads on), or anything else: nothing is left to do but close."""
    until = time.monotonic() + 1
    while not delivered(sock) and time.monotonic() < until:
        await asyncio.sleep(0.001)
    if how == "rst":
        reset(sock)
        return
    if how == "half_close":
        sock.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(sock, PIECE):
            pass
    sock.close()


async def readable(sock, seconds=None):
    """True when there is something to read, or an end; nothing is read."""
    if select.select([sock], [], [], 0)[0]:
        return True
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), seconds)
        return True
    except asyncio.TimeoutError:
        return False
    finally:
        loop.remove_reader(sock)


class Reader:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    async def more(self):
        data = await asyncio.get_running_loop().sock_recv(self.sock, PIECE)
        self.buffer += data
        return bool(data)

    async def until(self, mark):
        """Bytes up to the mark and with it; None at an end."""
        while mark not in self.buffer:
            if len(self.buffer) > HEAD_MAX or not await self.more():
                return None
        at = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:at], self.buffer[at:]
        return data

    async def exactly(self, n):
        while len(self.buffer) < n:
            if not await self.more():
                return None
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data


def headers_of(head):
    """First line and headers, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return first, {k.strip().lower(): v.strip() for k, v in pairs}


# ---- the answer, event by event ----
def cut_events(buffer, kind):
    """Whole events at the beginning of the buffer, and the rest."""
    events = []
    while True:
        if kind == "aws":
            n = struct.unpack(">I", buffer[:4])[0] if len(buffer) >= 4 else len(buffer) + 1
            if len(buffer) < n:
                return events, buffer
        else:
            ends = [buffer.index(m) + len(m) for m in (b"\n\n", b"\r\n\r\n") if m in buffer]
            if not ends:
                return events, buffer
            n = min(ends)
        events.append(buffer[:n])
        buffer = buffer[n:]


async def chunks(reader):
    while True:
        line = await reader.until(b"\r\n")
        if line is None:
            raise Cut("upstream_lost")
        n = int(line, 16)
        data = await reader.exactly(n + 2)
        if data is None:
            raise Cut("upstream_lost")
        if n == 0:
            return
        yield data[:-2]


async def events_of(reader, content_type):
    kind = "aws" if "amazon.eventstream" in content_type else "sse" if "event-stream" in content_type else None
    buffer = b""
    async for piece in chunks(reader):
        if kind is None:
            yield piece
            continue
        events, buffer = cut_events(buffer + piece, kind)
        for event in events:
            yield event
    if buffer:
        yield buffer


def error_event(path):
    if "/messages" in path:
        return b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    return b'data: {"error":{"message":"Overloaded","type":"server_error","code":503}}\n\n'


def is_named(event, name):
    """By its event line, or by the type of what it says."""
    return re.search(rb'(^event: ?%s\r?$)|"type": ?"%s"' % (name.encode(), name.encode()), event, re.M) is not None


async def altered(events, faults, path):
    """The stream as the faults want it: one event more is held than has been given."""
    by_kind = {f["kind"]: f for f in faults}
    drop, swap, twice, error = (by_kind.get(k) for k in ("drop", "swap", "duplicate", "error_event"))
    held, index, first = None, 0, None
    async for event in events:
        if error is not None and index == error["events"]:
            yield error_event(path)
            return
        if held is not None:
            yield held
            held = None
        here, index = index, index + 1
        if swap is not None and here == swap["event"]:
            first = event
            continue
        if drop is not None and (here == drop["event"] or drop["name"] and is_named(event, drop["name"])):
            continue
        if drop is not None and drop["event"] == -1:
            held = event
        else:
            yield event
        if twice is not None and here == twice["event"]:
            yield event
        if first is not None:
            yield first
            first = None
    if first is not None:
        yield first


class Wire:
    """The way to the client: bytes are counted, cut into pieces, slowed down and stopped."""

    def __init__(self, sock, faults):
        self.sock, self.sent, self.writes, self.events = sock, 0, 0, 0
        self.step, self.pause_s, self.rate = PIECE, 0, None
        self.stops, self.frames = [], []
        for f in faults:
            if f["kind"] == "slice":
                self.step, self.pause_s = f["bytes"], f["pause_ms"] / 1000
            elif f["kind"] == "bandwidth":
                self.rate = f["bytes_per_s"]
                self.step = min(self.step, max(1, self.rate // 50))
            elif f["kind"] in ("cut", "half_close", "delay_at") and f.get("bytes") is not None:
                self.stops.append((f["bytes"], f))
            elif f["kind"] in ("cut", "half_close", "cut_chunk", "corrupt_chunk"):
                self.frames.append(f)
        self.stops.sort(key=lambda s: s[0])

    async def write(self, data):
        loop, view = asyncio.get_running_loop(), memoryview(data)
        while len(view) > 0:
            n = min(len(view), self.step)
            if self.stops:
                if self.stops[0][0] <= self.sent:
                    await self.stop(self.stops.pop(0)[1])
                    continue
                n = min(n, self.stops[0][0] - self.sent)
            await loop.sock_sendall(self.sock, view[:n])
            self.sent += n
            self.writes += 1
            if self.pause_s or self.rate:
                await asyncio.sleep(self.pause_s + (n / self.rate if self.rate else 0))
            view = view[n:]

    async def stop(self, f):
        if f["kind"] == "delay_at":
            await asyncio.sleep(f["ms"] / 1000)
        else:
            raise Cut(f.get("how", f["kind"]))

    async def chunk(self, data):
        size = b"%x" % len(data)
        for f in self.frames:
            if f["events"] != self.events:
                continue
            if f["kind"] == "cut_chunk":
                await self.write(size + b"\r\n" + data[:len(data) // 2])
                await self.stop(f)
            elif f["kind"] == "corrupt_chunk":
                size = {"letters": b"zz", "long": b"%x" % (len(data) + 7), "short": b"%x" % max(1, len(data) - 7)}[f["how"]]
            else:
                await self.stop(f)
        await self.write(size + b"\r\n" + data + b"\r\n")
        self.events += 1

    async def finish(self, tail):
        """Stops that lie exactly at the end count too."""
        for f in self.frames:
            if f["kind"] in ("cut", "half_close") and f["events"] == self.events:
                await self.stop(f)
        await self.write(tail)
        while self.stops and self.stops[0][0] <= self.sent:
            await self.stop(self.stops.pop(0)[1])


# ---- lanes ----
class Lane:
    """One port in front of one provider."""

    def __init__(self, proxy, name, target):
        self.proxy, self.name = proxy, name
        host, port = target.split("//", 1)[1].split("/", 1)[0].rsplit(":", 1)
        self.target = (host, int(port))
        self.faults, self.log, self.told = [], [], 0
        self.connections = self.requests = 0
        self.open, self.accepting, self.listener = set(), None, None
        # Bound and never listening: keeps the port while connections are to be refused.
        self.place = socket.socket()
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.place.bind(("127.0.0.1", 0))
        self.port = self.place.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port

    # -- life --
    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.accepting = asyncio.get_running_loop().create_task(self.accept())

    async def refuse(self, wanted):
        """Also the connections that are open end."""
        if wanted and self.accepting is not None:
            self.accepting.cancel()
            await asyncio.gather(self.accepting, return_exceptions=True)
            self.listener.close()
            self.accepting = None
            tasks = list(self.open)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        elif not wanted and self.accepting is None:
            self.listen()

    async def accept(self):
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self.connection(sock))
            self.open.add(task)
            task.add_done_callback(self.open.discard)

    # -- what is drawn --
    def draw(self, what, ordinal, kinds=None, body=b""):
        """The faults of this connection or request, with the numbers that were drawn."""
        rules = list(self.faults)
        drawn = []
        for i, f in enumerate(rules):
            rng = random.Random("%d/%s/%s/%d/%d" % (self.proxy.seed, self.name, what, ordinal, i))
            if (kinds is not None and f["kind"] not in kinds) or f["times"] == 0 or rng.random() >= f["share"]:
                continue
            if f["times"] is not None:
                f["times"] -= 1
            drawn.append(self.settled(f, rng))
        found = IN_TEXT.search(body)
        if found:
            rng = random.Random("%d/%s" % (self.proxy.seed, found[1].decode()))
            drawn += [self.settled(f, rng) for f in faults_of_text(found[1].decode())]
        return drawn

    @staticmethod
    def settled(f, rng):
        return {k: rng.randint(*v) if isinstance(v, (tuple, list)) else v for k, v in f.items() if k not in RULE_KEYS}

    def note(self, **keys):
        record = dict({"lane": self.name, "begin": time.monotonic(), "path": None, "id": None, "faults": [], "status": None,
                       "events": 0, "bytes": 0, "writes": 0, "whole": False, "ended": None}, **keys)
        self.log.append(record)
        return record

    # -- connections --
    async def connection(self, sock):
        sock.setblocking(False)
        self.connections += 1
        number = self.connections
        try:
            drawn = self.draw("connection", number, ("accept_rst",))
            if drawn:
                self.note(connection=number, faults=["accept_rst"], ended="rst")
                reset(sock)
                return
            await self.requests_of(sock, number)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            sock.close()

    async def requests_of(self, sock, number):
        reader = Reader(sock)
        while True:
            head = await reader.until(b"\r\n\r\n")
            if head is None:
                return
            first, headers = headers_of(head)
            body = await reader.exactly(int(headers.get("content-length", 0)))
            if body is None:
                return
            self.requests += 1
            drawn = self.draw("request", self.requests, body=body)
            record = self.note(connection=number, path=first.split(" ")[1], id=headers.get("x-request-id"),
                               faults=[f["kind"] for f in drawn], whole=True)
            if not await self.exchange(sock, head + body, record, drawn):
                return
            for f in drawn:
                if f["kind"] == "idle_close" and await self.idle(sock, f):
                    return

    async def idle(self, sock, f):
        if f["how"] == "race":
            await readable(sock)
            sock.close()  # what has come unread makes it a RST
            return True
        if await readable(sock, f["ms"] / 1000):
            return False
        await end(sock, f["how"])
        return True

    # -- one request --
    async def exchange(self, sock, request, record, drawn):
        """True when the connection may bring the next."""
        wire, ended = Wire(sock, drawn), "client_gone"
        work = asyncio.ensure_future(self.answer(sock, request, record, drawn, wire))
        gone = asyncio.ensure_future(self.client_gone(sock))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                ended = "complete"
        except Cut as cut:
            ended = cut.how
        except OSError:
            pass
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            if ended != "complete":
                try:
                    await end(sock, ended)
                except OSError:
                    pass
            record.update(events=wire.events, bytes=wire.sent, writes=wire.writes, end=time.monotonic(), ended=ended)
        return ended == "complete"

    @staticmethod
    async def client_gone(sock):
        """Returns when the client has left; a next request that waits is none of that."""
        loop = asyncio.get_running_loop()
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        while not poll.poll(0):
            if select.select([sock], [], [], 0)[0]:
                await asyncio.sleep(0.02)
                continue
            ready = asyncio.Event()
            loop.add_reader(sock, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(sock)

    async def answer(self, sock, request, record, drawn, wire):
        by_kind = {f["kind"]: f for f in drawn}
        if "accept_rst" in by_kind:
            raise Cut("rst")
        if "blackhole" in by_kind:
            await asyncio.get_running_loop().create_future()
        if "latency" in by_kind:
            await asyncio.sleep(by_kind["latency"]["ms"] / 1000)
        if "status" in by_kind:
            record["status"] = by_kind["status"]["code"]
            await wire.write(self.refusal(record["path"], by_kind["status"]))
            await wire.finish(b"")
            return
        upstream = socket.socket()
        upstream.setblocking(False)
        try:
            try:
                await asyncio.get_running_loop().sock_connect(upstream, self.target)
                await asyncio.get_running_loop().sock_sendall(upstream, request)
            except OSError:
                raise Cut("upstream_lost")
            await asyncio.wait_for(self.pass_on(upstream, record, by_kind, wire), UPSTREAM_WAIT_S)
        finally:
            upstream.close()

    @staticmethod
    def refusal(path, f):
        code = f["code"]
        error = {"type": MESSAGES.get(code, "api_error"), "message": "The fault proxy says %d" % code}
        if "/messages" in path:
            body = {"type": "error", "error": error}
        elif "generateContent" in path.replace("streamG", "g") or "/projects/" in path:
            body = {"error": {"code": code, "message": error["message"], "status": "UNAVAILABLE"}}
        elif path.startswith("/model/"):
            body = {"message": error["message"]}
        else:
            body = {"error": dict(error, code=None, param=None)}
        data = json.dumps(body).encode()
        head = "HTTP/1.1 %d Fault\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (code, len(data))
        if f["retry_after"] is not None:
            head += "retry-after: %d\r\n" % f["retry_after"]
        return head.encode() + b"\r\n" + data

    async def pass_on(self, upstream, record, by_kind, wire):
        reader = Reader(upstream)
        try:
            head = await reader.until(b"\r\n\r\n")
        except OSError:
            head = None
        if head is None:
            raise Cut("upstream_lost")
        first, headers = headers_of(head)
        record["status"] = int(first.split(" ")[1])
        if "huge_header" in by_kind:
            head = head[:-2] + b"x-huge: " + b"h" * by_kind["huge_header"]["bytes"] + b"\r\n\r\n"
        await wire.write(head)
        if headers.get("transfer-encoding") != "chunked":
            body = await reader.exactly(int(headers.get("content-length", 0)))
            if body is None:
                raise Cut("upstream_lost")
            await wire.finish(body)
            return
        try:
            events = events_of(reader, headers.get("content-type", ""))
            async for event in altered(events, by_kind.values(), record["path"]):
                await wire.chunk(event)
        except ConnectionResetError:
            raise Cut("upstream_lost")
        await wire.finish(b"0\r\n\r\n")


class FaultProxy:
    """Its own thread with its own loop; what is public may be called from anywhere."""

    def __init__(self, targets, seed=1):
        self.seed = seed
        self.lanes = {name: Lane(self, name, url) for name, url in targets.items()}
        self.url = {name: lane.url for name, lane in self.lanes.items()}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.call(self.listen())

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def listen(self):
        for lane in self.lanes.values():
            lane.listen()

    def set(self, lane, *faults):
        """These from now on and no others; what runs keeps what it has."""
        async def change():
            self.lanes[lane].faults = [dict(f) for f in faults]
        self.call(change())

    def refuse(self, lane, wanted=True):
        self.call(self.lanes[lane].refuse(wanted))

    def seen(self, lane=None, since=0):
        """Copies of the records, oldest first."""
        async def look():
            return [dict(r) for name, each in self.lanes.items() if lane in (None, name) for r in each.log[since:]]
        return self.call(look())

    def count(self, lane):
        return len(self.lanes[lane].log)

    def stop(self):
        async def close():
            for lane in self.lanes.values():
                await lane.refuse(True)
                lane.place.close()
        self.call(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


# ---- as a program ----
class Control:
    """The UNIX socket: a JSON object a line, answered by one."""

    def __init__(self, lanes):
        self.lanes = lanes

    async def serve(self, reader, writer):
        while line := await reader.readline():
            try:
                answer = await self.do(json.loads(line))
            except Exception as e:  # noqa: told to whoever asked
                answer = {"error": "%s: %s" % (type(e).__name__, e)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def do(self, ask):
        if "log" in ask:
            records = []
            for lane in self.lanes.values():
                done = [r for r in lane.log if r["ended"] is not None]
                lane.log = [r for r in lane.log if r["ended"] is None]
                records += done
            return {"log": records}
        if "counts" in ask:
            return {n: {"connections": x.connections, "requests": x.requests, "open": len(x.open)} for n, x in self.lanes.items()}
        lane = self.lanes[ask["lane"]]
        if "refuse" in ask:
            await lane.refuse(ask["refuse"])
        if "faults" in ask:
            lane.faults = [fault(**f) for f in ask["faults"]]
        return {"ok": True}


class Remote:
    """The other end of the control socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")

    def ask(self, **what):
        self.file.write(json.dumps(what).encode() + b"\n")
        self.file.flush()
        answer = json.loads(self.file.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--control")
    args.add_argument("lanes", nargs="+", metavar="NAME=URL")
    options = args.parse_args()
    proxy = FaultProxy(dict(lane.split("=", 1) for lane in options.lanes), options.seed)
    if options.control:
        control = Control(proxy.lanes)

        async def start():
            await asyncio.start_unix_server(control.serve, options.control, limit=1 << 20)

        proxy.call(start())
        os.chmod(options.control, 0o600)
    for name in proxy.url:
        print("listening on " + proxy.url[name], flush=True)
    proxy.thread.join()


if __name__ == "__main__":
    main()
