# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, driven by its debugging protocol over a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Browser:
    """One page. Errors that it reported gather in `errors`: exceptions, console errors, blocked resources."""

    def __init__(self, width=1280, height=900):
        self.folder = tempfile.mkdtemp(prefix="millrace-chromium-")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser talks at descriptors 3 and 4.
        command = f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-pipe", "--force-color-profile=srgb",
             f"--user-data-dir={self.folder}", f"--window-size={width},{height}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = ours_in, ours_out
        self.pending = b""
        self.last_id = 0
        self.session = None
        self.errors = []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.writer)
        os.close(self.reader)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self, end):
        while b"\0" not in self.pending:
            if not select.select([self.reader], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError("the browser does not answer")
            piece = os.read(self.reader, 1 << 20)
            if not piece:
                raise AssertionError("the browser has ended")
            self.pending += piece
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f'{params["entry"]["text"]} {params["entry"].get("url", "")}')

    def call(self, method, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 20
        while True:
            answer = self.receive(end)
            if answer.get("id") != message["id"]:
                self.note(answer)
                continue
            if "error" in answer:
                raise AssertionError(f"{method}: {answer['error']}")
            return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """Value of an expression on the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    @staticmethod
    def text_of(selector):
        found = f"document.querySelector({json.dumps(selector)})"
        return f"({found}?.getClientRects().length ? {found}.innerText : '')"

    def text(self, selector="body"):
        """What a reader sees of the first such element; "" while there is none, or it is hidden."""
        return self.run(self.text_of(selector))

    def wait(self, script, what, seconds=8):
        """Wait until the expression is true; its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}; errors: {self.errors}; page: {self.text()[:3000]}")
            time.sleep(0.05)

    def wait_text(self, selector, text, seconds=8):
        self.wait(f"{self.text_of(selector)}.includes({json.dumps(text)})", f"{text!r} in {selector}", seconds)

    def click(self, selector):
        """A real click in the middle of the element, once it takes clicks, stands still and nothing is before it."""
        where = self.wait(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            if (!found || found.disabled || !found.getClientRects().length)
                return null;
            found.scrollIntoView({{ block: "center", inline: "center" }});
            const box = found.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
            const hasMoved = found.lastSeenAt !== `${{x}} ${{y}}`;
            found.lastSeenAt = `${{x}} ${{y}}`;
            return hasMoved || !found.contains(document.elementFromPoint(x, y)) ? null : [x, y];
        }})()""", f"{selector} can be clicked")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def type(self, selector, text):
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def set_dark(self, is_dark):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
