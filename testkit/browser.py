"""A real Chromium, headless, that records microphones as a voice call in a web page does.

It is driven over two pipes (`--remote-debugging-pipe`: JSON messages that end in a zero byte) and asks nobody outside
this machine. Its page comes from 127.0.0.1, since a page needs a secure origin to see microphones.

    with browser(session.env) as chromium:
        with chromium.recording("RWC Mic") as recording:
            wait_for(lambda: len(recording.heard) > 48000)
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAM = "chromium"
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--disable-domain-reliability", "--metrics-recording-only", "--no-default-browser-check", "--no-proxy-server"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--use-fake-ui-for-media-stream"),
    "--remote-debugging-pipe",
)
ANSWER_S = 30.0
PAGE = b"""<!doctype html><meta charset=utf-8><title>RWC's test page</title><script>
const recordings = {}; let last = 0;
async function microphones() {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(d => d.kind == "audioinput").map(d => ({id: d.deviceId, label: d.label}));
}
async function unlock() {          // labels are told only to a page that has recorded once
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  stream.getTracks().forEach(t => t.stop());
}
async function record(label, more) {
  await unlock();
  const wanted = label ? (await microphones()).find(d => d.label == label) : null;
  if (label && !wanted) throw new Error("no microphone '" + label + "'");
  const audio = {...more, ...(wanted ? {deviceId: {exact: wanted.id}} : {})};
  const stream = await navigator.mediaDevices.getUserMedia({audio});
  const [track] = stream.getAudioTracks(), key = ++last;
  recordings[key] = {track, rate: 0, chunks: []};
  collect(recordings[key], new MediaStreamTrackProcessor({track}).readable.getReader());
  return {key, label: track.label, settings: track.getSettings()};
}
async function collect(recording, reader) {
  for (let r = await reader.read(); !r.done; r = await reader.read()) {
    const samples = new Float32Array(r.value.numberOfFrames);
    r.value.copyTo(samples, {planeIndex: 0, format: "f32-planar"});
    recording.rate = r.value.sampleRate;
    recording.chunks.push(samples);
    r.value.close();
  }
}
function take(key) {               // what came since the last call, in base64, with its rate
  const {chunks, rate} = recordings[key];
  recordings[key].chunks = [];
  let text = "";
  for (const chunk of chunks) for (const byte of new Uint8Array(chunk.buffer)) text += String.fromCharCode(byte);
  return {rate, data: btoa(text)};
}
function stop(key) { recordings[key].track.stop(); delete recordings[key]; }
</script>"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Recording:
    """One microphone, recorded by the page."""

    def __init__(self, browser: Browser, key: int, label: str, settings: dict[str, Any]) -> None:
        self._browser, self._key = browser, key
        self._heard = np.zeros(0, np.float32)
        self.label = label
        #: the microphone's name as the page sees it
        self.settings = settings
        #: what the browser grants: autoGainControl, echoCancellation, sampleRate, …
        self.rate = 0
        #: Hz of what was heard; 0 until the first sample

    @property
    def heard(self) -> np.ndarray:
        """f32[n], the first channel, all so far."""
        new = self._browser.evaluate(f"take({self._key})")
        samples = np.frombuffer(base64.b64decode(new["data"]), np.float32)
        self.rate = new["rate"] or self.rate
        self._heard = np.concatenate([self._heard, samples])
        return self._heard

    def stop(self) -> None:
        self._browser.evaluate(f"stop({self._key})")


class Browser:
    """One Chromium with one page. Use `browser`, which also ends it."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self.process = process
        self._to, self._back = os.fdopen(to, "wb", 0), os.fdopen(back, "rb", 0)
        self._unread = b""
        self._last = 0
        self._page = ""
        #: the session in which the page is spoken to

    def open(self, address: str) -> None:
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._page = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self._call("Page.enable")
        self._call("Page.navigate", {"url": address})
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self._call("Runtime.evaluate", asked)
        failed = answer.get("exceptionDetails")
        assert not failed, failed["exception"].get("description", failed)
        return answer["result"].get("value")

    def microphones(self) -> list[str]:
        """As a page lists them to its user; those of Chromium's own "default" entry included."""
        self.evaluate("unlock()")
        return [found["label"] for found in self.evaluate("microphones()")]

    @contextmanager
    def recording(self, microphone: str = "", **constraints: bool) -> Iterator[Recording]:
        """`microphone`: its label; empty: the default. Processing is off unless a constraint turns it on:
        `autoGainControl`, `echoCancellation`, `noiseSuppression`."""
        plain = {"autoGainControl": False, "echoCancellation": False, "noiseSuppression": False}
        made = self.evaluate(f"record({json.dumps(microphone)}, {json.dumps({**plain, **constraints})})")
        recording = Recording(self, **made)
        try:
            yield recording
        finally:
            recording.stop()

    def close(self) -> None:
        for pipe in (self._to, self._back):
            pipe.close()

    def _call(self, method: str, words: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self._last += 1
        said = {"id": self._last, "method": method, "params": words or {}}
        self._to.write(json.dumps(said | ({"sessionId": self._page} if self._page else {})).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = self._back.read(1 << 16)
            assert chunk, f"{PROGRAM} ended with {self.process.poll()}"
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(environment: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """Started, with the test page open; `environment`: of the audio session (default: this process')."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed (a package of that name only on Debian)")
    with _served() as address, tempfile.TemporaryDirectory(prefix="rwc-web-", ignore_cleanup_errors=True) as folder:
        to, back = os.pipe(), os.pipe()
        process = _start(dict(environment or os.environ), Path(folder), to[0], back[1])
        for inner in (to[0], back[1]):
            os.close(inner)
        chromium = Browser(process, to[1], back[0])
        # a browser that hangs is killed, and its closed pipe ends the reading
        killer = threading.Timer(ANSWER_S, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        try:
            chromium.open(address)
            killer.cancel()
            yield chromium
        finally:
            killer.cancel()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            chromium.close()


def _start(environment: dict[str, str], folder: Path, commands: int, answers: int) -> subprocess.Popen[bytes]:
    """Chromium reads commands from its descriptor 3 and answers on 4."""
    options = [*OPTIONS, f"--user-data-dir={folder}"]
    # to high numbers first, so that neither lies where the other goes
    script = f'exec 103<&{commands} 104>&{answers} && exec 3<&103 4>&104 103<&- 104>&- && exec "$@"'
    return subprocess.Popen(
        ["bash", "-c", script, PROGRAM, PROGRAM, *options],
        env=environment, pass_fds=(commands, answers), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def _served() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
