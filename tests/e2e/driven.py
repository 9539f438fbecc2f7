# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine with a real MediaMTX that a test drives as the daemon would (engine_drive.h), and a
second MediaMTX as the camera that is pulled."""
import base64
import json
import os
import signal
import socket
import subprocess
import threading
import time

import requests

from harness import BUILD, MEDIAMTX, REPO, Ports, wait
from proxy import Proxy

OFF = "rtmp: no\nhls: no\nwebrtc: no\nsrt: no\nmoq: no\n"
H264 = [{"codec": "H264"}]


def driver():
    """The program, built when it is not given."""
    given = os.environ.get("ENGINE_DRIVER")
    if not given:
        subprocess.run(["make", "-s", f"VARIANT={BUILD.name}",
                        f"build/{BUILD.name}/engine_interleave"], cwd=REPO, check=True)
    return given or str(BUILD / "engine_interleave")


def path(name, source="publisher", **more):
    return {"name": name, "source": source, "override": source == "publisher", **more}


def user(name, where, password):
    return {"path": where, "name": name, "password": password}


def may_publish(port, where, name="", password=""):
    """Asks by RTSP, without publishing: 200 yes, 401 no, 400 no such path."""
    sdp = ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
           "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
           "a=fmtp:96 packetization-mode=1\r\na=control:0\r\n")
    key = base64.b64encode(f"{name}:{password}".encode()).decode()
    auth = f"Authorization: Basic {key}\r\n" if name else ""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(f"ANNOUNCE rtsp://127.0.0.1:{port}/{where} RTSP/1.0\r\nCSeq: 1\r\n{auth}"
                     f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n"
                     f"{sdp}".encode())
        return int(link.recv(4096).split()[1])


def publish(url, audio=True):
    """A publisher of 25 small frames a second, and a tone."""
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=48000", "-c:a", "aac", "-ac", "2"]
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i",
         "testsrc=size=64x64:rate=25", *(sound if audio else []), "-c:v", "libx264", "-preset",
         "ultrafast", "-g", "25", "-f", "rtsp", "-rtsp_transport", "tcp", url],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Camera:
    """Somebody else's MediaMTX: its paths ask for cam:pass-word."""

    def __init__(self, folder, ports):
        folder.mkdir()
        self.api, self.rtsp = ports.take(), ports.take()
        self.file = folder / "camera.yml"
        self.file.write_text(
            f"logLevel: error\napi: yes\napiAddress: 127.0.0.1:{self.api}\nrtsp: yes\n"
            f"rtspTransports: [tcp]\nrtspAddress: 127.0.0.1:{self.rtsp}\n{OFF}"
            "authInternalUsers:\n- {user: any, permissions: [{action: api}, {action: publish}]}\n"
            "- {user: cam, pass: pass-word, permissions: [{action: read}]}\n"
            "paths:\n  one:\n  two:\n")
        self.process = None
        self.publishers = {}
        self.start()

    def start(self):
        self.process = subprocess.Popen([str(MEDIAMTX), str(self.file)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        wait(lambda: requests.get(f"http://127.0.0.1:{self.api}/v3/info", timeout=2).ok,
             "the camera answers")

    def url(self, name, credentials="cam:pass-word@"):
        return f"rtsp://{credentials}127.0.0.1:{self.rtsp}/{name}"

    def on(self, name, **how):
        self.publishers[name] = publish(self.url(name, ""), **how)
        wait(lambda: requests.get(f"http://127.0.0.1:{self.api}/v3/paths/get/{name}",
                                  timeout=2).json()["available"], f"the camera shows {name}")

    def off(self, name):
        publisher = self.publishers.pop(name)
        publisher.kill()
        publisher.wait()

    def close(self):
        for name in list(self.publishers):
            self.off(name)
        self.process.kill()
        self.process.wait()


class Driven:
    """`proxied`: the engine reaches the API through self.proxy."""

    def __init__(self, driver, folder, proxied=False, drift=1000, **env):
        self.driver, self.dir = driver, folder
        self.ports = Ports()
        self.api, self.rtsp = self.ports.take(), self.ports.take()
        self.proxy = Proxy(self.api) if proxied else None
        self.template = folder / "template.yml"
        self.template.write_text(
            f"logLevel: info\napi: yes\napiAddress: 127.0.0.1:{self.api}\nrtsp: yes\n"
            f"rtspTransports: [tcp]\nrtspAddress: 127.0.0.1:{self.rtsp}\n{OFF}")
        self.env = {**os.environ, "DRIFT_MS": str(drift), **env}
        self.process = None
        self.children = []
        self.seq = 0
        self.now, self.log = None, folder / "driver.log"
        self.start()

    def start(self):
        self.now = None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.driver, str(self.dir), str(MEDIAMTX), str(self.template),
                 self.proxy.url if self.proxy else f"http://127.0.0.1:{self.api}", "drive"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, lines):
        for line in lines:
            self.now = json.loads(line)

    def say(self, **command):
        """Sends a command; what is observed from here on knows of it."""
        self.seq += 1
        command["seq"] = self.seq
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        wait(lambda: self.now["seq"] == self.seq, "the engine heard it")

    def want(self, *paths, users=(), removed=()):
        self.say(paths=sorted(paths, key=lambda p: p["name"]), users=list(users),
                 removed=list(removed), fast=True)

    def path(self, name):
        return self.now["paths"][name]

    def until(self, condition, what, timeout=20):
        """Waits, and gives how long it took."""
        began = time.monotonic()
        try:
            wait(lambda: condition(self.now), what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.now}\n{self.log.read_text()[-3000:]}") from None
        return time.monotonic() - began

    def settled(self, timeout=20):
        return self.until(lambda now: now["reachable"] and now["known"] and now["settled"]
                          and not now["writing"] and not now["error"]
                          and all(p["equal"] for p in now["paths"].values() if p["wanted"]),
                          "all is as wanted", timeout)

    def equal(self, *names, timeout=25):
        return self.until(lambda now: all(now["paths"][n]["equal"] for n in names),
                          f"{names} are as wanted", timeout)

    @property
    def auth(self):
        return self.now["user"], self.now["password"]

    def call(self, method, target, body=None, auth=None):
        answer = requests.request(method, f"http://127.0.0.1:{self.api}/v3/{target}", json=body,
                                  auth=auth or self.auth, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def users(self, auth=None):
        return self.call("GET", "config/global/get", auth=auth)["authInternalUsers"]

    def config(self, name):
        return self.call("GET", f"config/paths/get/{name}")

    def url(self, name, credentials=None):
        who = credentials or ":".join(self.auth)
        return f"rtsp://{who}@127.0.0.1:{self.rtsp}/{name}"

    def publish(self, name, credentials=None, **how):
        self.children.append(publish(self.url(name, credentials), **how))
        return self.children[-1]

    def record(self):
        return json.loads((self.dir / "mediamtx/record.json").read_text())

    @property
    def pid(self):
        return self.record()["pid"]

    def kill_driver(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        try:
            pid = self.pid
            os.kill(pid, signal.SIGCONT)
        except (OSError, ValueError):
            pid = 0
        if self.proxy:
            self.proxy.close()
        if self.process.poll() is None:  # it ends its MediaMTX too
            self.process.stdin.close()
            try:
                code = self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill_driver()
                code = "not at all"
            assert code == 0, f"the driver ended with {code}:\n{self.log.read_text()[-3000:]}"
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.ports.close()
