# SPDX-License-Identifier: GPL-2.0-or-later
"""Stand-ins for what streams come from: a camera (a second MediaMTX with a user and a password,
which also serves RTMP, HLS and SRT), MPEG-TS over HTTP and over UDP, and secrets to reach them."""
import base64
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from harness import MEDIAMTX, Ports, plain_environment, wait

USER, PASSWORD = "admin", "p@ss/w%41rd?&x"  # what has to be escaped in a URL is in it


def hashed(password):
    return "sha256:" + base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()


def secrets(world, **values):
    """Puts secrets into the World's own secrets directory: before it starts, or later."""
    folder = world.root / "secrets"
    if not folder.exists():
        folder.mkdir(mode=0o755)
        world.settings["secrets"] = [str(folder)]
        world.write_settings()
    for name, value in values.items():
        part = folder / ".part"
        part.write_text(value)
        part.chmod(0o644)
        part.rename(folder / name.replace("_", "-"))
    return folder


def ffmpeg(*arguments, **kwargs):
    kwargs = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
              "stderr": subprocess.DEVNULL, **kwargs}
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", *arguments]
    return subprocess.Popen(command, env=plain_environment(), **kwargs)


def looped(clip, *output, **kwargs):
    """A publisher of a clip, in its own time, without end."""
    return ffmpeg("-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", *output, **kwargs)


def end(process):
    if process and process.poll() is None:
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGCONT)
        process.kill()
    if process:
        process.wait()


class Camera:
    """paths: name → clip; `empty` paths have no picture (404). All need USER and PASSWORD."""

    def __init__(self, paths, on_demand=(), empty=(), password=PASSWORD, lazy=False,
                 secret="cam-pass"):
        self.root = Path(tempfile.mkdtemp(prefix="slc-", dir="/tmp"))
        self.paths = {name: str(clip) for name, clip in paths.items()}
        self.on_demand, self.empty = set(on_demand), empty
        self.user, self.password, self.secret = USER, password, secret
        self.ports = Ports()
        self.port = {name: self.ports.take() for name in ("rtsp", "rtmp", "hls", "srt", "api")}
        self.port["rtp"] = self._pair()
        self.feeders = {}
        self.process = None
        if not lazy:
            self.start()

    def _pair(self):
        """An even port and the next one."""
        while True:
            port = self.ports.take()
            if port % 2 == 0 and self.ports.take(port + 1):
                return port

    def _config(self):
        port = self.port
        feed = f"rtsp://feeder:feed@127.0.0.1:{port['rtsp']}"
        paths = {name: {} for name in self.empty}
        for name, clip in self.paths.items():
            paths[name] = {}
            if name in self.on_demand:
                paths[name] = {
                    "runOnDemand": "ffmpeg -loglevel error -nostdin -re -stream_loop -1 -i "
                                   f"{clip} -c copy -f rtsp -rtsp_transport tcp {feed}/{name}",
                    "runOnDemandStartTimeout": "10s", "runOnDemandCloseAfter": "2s"}
        return {
            "logLevel": "info", "api": True, "apiAddress": f"127.0.0.1:{port['api']}",
            "metrics": False, "pprof": False, "playback": False, "moq": False, "webrtc": False,
            "readTimeout": "600s",  # a publisher that sends nothing stays: a camera gone mute
            "rtspTransports": ["tcp", "udp"], "rtspAddress": f"127.0.0.1:{port['rtsp']}",
            "rtpAddress": f"127.0.0.1:{port['rtp']}", "rtcpAddress": f"127.0.0.1:{port['rtp'] + 1}",
            "rtmpAddress": f"127.0.0.1:{port['rtmp']}", "hlsAddress": f"127.0.0.1:{port['hls']}",
            "hlsAlwaysRemux": any(name.startswith("hls") for name in self.paths),
            "hlsVariant": "fmp4", "hlsSegmentDuration": "2s",
            "srtAddress": f"127.0.0.1:{port['srt']}",
            "authInternalUsers": [
                {"user": "feeder", "pass": "feed", "permissions": [{"action": "publish"}]},
                {"user": self.user, "pass": hashed(self.password),
                 "permissions": [{"action": "read"}]},
                {"user": "any", "pass": "", "ips": ["127.0.0.1"],
                 "permissions": [{"action": "api"}]},
            ], "paths": paths}

    def start(self, wait_for_paths=True):
        file = self.root / "mediamtx.yml"
        file.write_text(yaml.safe_dump(self._config(), sort_keys=False))
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen([str(MEDIAMTX), str(file)], stdout=log, stderr=log,
                                            env=plain_environment(), cwd=self.root)
        wait(self.known, "the camera stands", 10)
        for name in self.paths:
            if name not in self.on_demand:
                self.feed(name)
        if wait_for_paths:
            self.wait_fed()
        return self

    def known(self):
        answer = requests.get(f"http://127.0.0.1:{self.port['api']}/v3/paths/list", timeout=5)
        return {one["name"]: one for one in answer.json()["items"]} or True

    def sessions(self):
        """Of RTSP: path, state ("read", "publish"), transport ("TCP", "UDP")."""
        answer = requests.get(f"http://127.0.0.1:{self.port['api']}/v3/rtspsessions/list",
                              timeout=5)
        return answer.json()["items"]

    def wait_fed(self):
        wait(lambda: all(self.known()[name]["ready"] for name in self.feeders),
             "the camera's paths are fed", 10)

    def feed(self, name, clip=None):
        """Starts, or starts again, what the camera sees."""
        end(self.feeders.get(name))
        self.paths.setdefault(name, str(clip))
        self.feeders[name] = looped(
            clip or self.paths[name], "-f", "rtsp", "-rtsp_transport", "tcp",
            f"rtsp://feeder:feed@127.0.0.1:{self.port['rtsp']}/{name}")

    def mute(self, name):
        """It stays connected and sends nothing more."""
        self.feeders[name].send_signal(signal.SIGSTOP)

    def unmute(self, name):
        self.feeders[name].send_signal(signal.SIGCONT)

    def blind(self, name):
        """Its picture is gone, the path with it: 404."""
        end(self.feeders.pop(name))

    def hang(self):
        """Takes connections, never answers."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """Off: nothing listens any more."""
        end(self.process)
        self.process = None
        for feeder in self.feeders.values():
            end(feeder)
        self.feeders = {}

    def change_password(self, password):
        self.stop()
        self.password = password
        self.start()

    def close(self):
        self.stop()
        self.ports.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- sources of manifests; the secrets they need are those of secrets_of ---
    def secrets_of(self):
        return {self.secret: self.password,
                **{f"sid-{name}": f"read:{name}:{self.user}:{self.password}"
                   for name in self.paths}}

    def rtsp(self, name, transport="tcp", **more):
        return {"rtsp": {"url": f"rtsp://127.0.0.1:{self.port['rtsp']}/{name}",
                         "transport": transport, "username": self.user,
                         "passwordRef": {"name": self.secret}, **more}}

    def pull(self, protocol, name):
        address = f"127.0.0.1:{self.port[protocol]}"
        if protocol == "srt":
            return {"pull": {"url": f"srt://{address}", "streamIdRef": {"name": f"sid-{name}"}}}
        url = (f"rtmp://{address}/{name}" if protocol == "rtmp"
               else f"http://{address}/{name}/index.m3u8")
        return {"pull": {"url": url, "username": self.user, "passwordRef": {"name": self.secret}}}


class TsOverHttp:
    """MPEG-TS over HTTP: each client gets the clip without end; optionally with a password."""

    def __init__(self, clip, user=None, password=None, status=200):
        outer = self
        self.clip, self.status, self.muted = clip, status, False
        self.wanted = (base64.b64encode(f"{user}:{password}".encode()).decode() if user else None)
        self.running, self.requests = [], 0

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):  # noqa: N802
                outer.requests += 1
                given = self.headers.get("Authorization", "")
                if outer.wanted and given != f"Basic {outer.wanted}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="ts"')
                    self.end_headers()
                    return
                self.send_response(outer.status)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                if outer.status != 200:
                    return
                if outer.muted:
                    outer.hold.wait(60)
                    return
                process = looped(outer.clip, "-f", "mpegts", "-flush_packets", "1", "pipe:1",
                                 stdout=subprocess.PIPE)
                outer.running.append(process)
                try:
                    while data := process.stdout.read1(65536):
                        self.wfile.write(data)
                        self.wfile.flush()
                except OSError:
                    pass
                finally:
                    end(process)
                    process.stdout.close()

        self.hold = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/live.ts"

    def mute(self):
        for process in self.running:
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGSTOP)

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        for process in self.running:
            end(process)


class TsOverUdp:
    """MPEG-TS sent to a UDP port, whether or not somebody listens."""

    def __init__(self, clip, port):
        self.clip, self.port = clip, port
        self.process = None
        self.start()

    @property
    def url(self):
        return f"udp://127.0.0.1:{self.port}"

    def start(self):
        self.process = looped(self.clip, "-f", "mpegts", f"{self.url}?pkt_size=1316")

    def stop(self):
        end(self.process)

    close = stop
