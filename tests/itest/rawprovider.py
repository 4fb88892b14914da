"""A provider of which a test sees every byte that arrives and says every byte that goes back.
Python 3 standard library only."""

import glob
import json
import socket
import threading
import time

from harness import wait_for

MESSAGE = json.dumps({"id": "msg_raw", "type": "message", "role": "assistant", "model": "raw", "stop_reason": "end_turn",
                      "stop_sequence": None, "content": [{"type": "text", "text": "hello"}],
                      "usage": {"input_tokens": 5, "output_tokens": 2}}).encode()


def whole(body=MESSAGE, status=b"200 OK", headers=b"", content_type=b"application/json"):
    return b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n" % (status, content_type, len(body), headers) + body


class RawProvider:
    """answer(request bytes) -> the answer's bytes, or an iterable of pieces that are sent as they come.
    Connections are kept; a piece that cannot be sent ends the connection."""

    def __init__(self, answer=None, address="127.0.0.1"):
        self.answer = answer or (lambda request: whole())
        self.requests, self.connections = [], 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        self.url = "http://%s:%d" % ("[%s]" % address if ":" in address else address, self.port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _read(self, sock, data):
        """One request off the connection: (its bytes, what came behind it)."""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None, data
            data += piece
        end = data.index(b"\r\n\r\n") + 4
        length = 0
        for line in data[:end].split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        parts, got = [data], len(data)
        while got < end + length:
            piece = sock.recv(1 << 20)
            if not piece:
                return None, b""
            parts.append(piece)
            got += len(piece)
        data = b"".join(parts)
        return data[:end + length], data[end + length:]

    def _serve(self, sock):
        rest = b""
        try:
            while True:
                request, rest = self._read(sock, rest)
                if request is None:
                    break
                self.requests.append(request)
                answer = self.answer(request)
                for piece in ([answer] if isinstance(answer, bytes) else answer):
                    sock.sendall(piece)
        except OSError:
            pass
        finally:
            sock.close()


class Liveness:
    """Asks /health/live over and over beside what a test does; the longest answer says how long the
    loop was held up, and the most processor time that the worker took until it answered says that
    without what else the machine did.  The server must run one worker, or another one would answer."""

    def __init__(self, way):
        self.way, self.worst_s, self.worst_cpu_s, self.asked, self.stopping = way, 0.0, 0.0, 0, False
        self.worker = wait_for("the worker's name", self._find_worker)
        self.thread = threading.Thread(target=self._ask)

    def _find_worker(self):
        """It names itself, perhaps after the server has said that it listens."""
        tasks = glob.glob("/proc/%d/task/*" % self.way.child.pid)
        return next((task for task in tasks if open(task + "/comm").read().startswith("wf-worker")), None)

    def cpu_s(self):
        """Of the worker, until now."""
        with open(self.worker + "/schedstat") as f:
            return int(f.read().split()[0]) / 1e9

    def _ask(self):
        while not self.stopping:
            began, cpu = time.monotonic(), self.cpu_s()
            status = self.way.request("GET", "/health/live", key=False)[0]
            assert status == 200, status
            self.worst_s = max(self.worst_s, time.monotonic() - began)
            self.worst_cpu_s = max(self.worst_cpu_s, self.cpu_s() - cpu)
            self.asked += 1
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
