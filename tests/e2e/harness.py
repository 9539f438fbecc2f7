# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole Sluice in a directory of its own: daemon, encoder host, encoders and MediaMTX.

BUILD chooses the build directory (default build/release), so the same tests run under ASan.
Everything listens on loopback on ports that no other World of this machine uses, and whatever
was started is gone when the World is closed: a process is ours when its arguments or its open
files lie in our directory.
"""
import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import requests
import yaml

REPO = Path(__file__).resolve().parents[2]
BUILD = (REPO / os.environ.get("BUILD", "build/release")).resolve()
SLUICE = BUILD / "sluice"
ENCODER = BUILD / "sluice-encoder"
MEDIAMTX = Path(os.environ.get("MEDIAMTX", REPO / "build/mediamtx/mediamtx")).resolve()
SLOW = 4 if "san" in BUILD.name else 1  # sanitizers cost time
NODE = "test"
PROTOCOLS = ("rtsp", "rtmp", "hls", "webrtc", "srt")
FAULT_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


class Timeout(AssertionError):
    pass


def wait(condition, what, timeout=10.0, interval=0.015):
    """Polls until the condition gives something true, and gives that. Errors mean "not yet"."""
    end = time.monotonic() + timeout * SLOW
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError,
                requests.RequestException, psutil.Error) as error:
            last = error
        if time.monotonic() > end:
            raise Timeout(f"not within {timeout * SLOW:g} s: {what}"
                          + (f" (last: {last!r})" if last else ""))
        time.sleep(interval)


def holds(condition, what, seconds):
    """The condition stays true for that long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what
        time.sleep(min(0.02, max(0, end - time.monotonic())))


# --- ports ---------------------------------------------------------------------------------------
class Ports:
    """Free ports, kept from other Worlds by an abstract socket per port."""

    def __init__(self):
        self.kept = []

    def take(self, this=None):
        """A free port; or this one, None when it is not free."""
        for _ in range(1 if this else 2000):
            port = this or random.SystemRandom().randrange(20000, 32000)  # below ephemeral ones
            guard = socket.socket(socket.AF_UNIX)
            try:
                guard.bind(f"\0sluice-test-port-{port}")
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port))
            except OSError:
                guard.close()
                continue
            self.kept.append(guard)
            return port
        if this:
            return None
        raise RuntimeError("no free port")

    def close(self):
        for guard in self.kept:
            guard.close()
        self.kept = []


# --- media ---------------------------------------------------------------------------------------
CLIPS = {
    # 4 s, 25 frames a second, tone; MP4 whose index stands in front
    "clip.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i",
                 "sine=frequency=440:sample_rate=48000", "-t", "4", "-c:v", "libx264", "-preset",
                 "veryfast", "-g", "50", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a",
                 "64k", "-movflags", "+faststart"],
    "bframes.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i",
                    "sine=frequency=440:sample_rate=48000", "-t", "4", "-c:v", "libx264",
                    "-preset", "veryfast", "-g", "50", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a",
                    "aac", "-b:a", "64k", "-movflags", "+faststart"],
    "other.mp4": ["-f", "lavfi", "-i", "smptebars=size=256x144:rate=25", "-f", "lavfi", "-i",
                  "sine=frequency=880:sample_rate=48000", "-t", "4", "-c:v", "libx264", "-preset",
                  "veryfast", "-g", "50", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a",
                  "64k", "-movflags", "+faststart"],
}


def clip(name):
    """A clip, made once a machine and kept in build/test-media."""
    folder = REPO / "build" / "test-media"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = folder / f"part-{name}"
            subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
                            *CLIPS[name], str(part)], check=True)
            part.rename(path)
    return path


# --- manifests -----------------------------------------------------------------------------------
def stream(name, source=None, encode=None, **spec):
    """The text of a Stream's document."""
    spec["source"] = source or {"file": {"path": "clip.mp4"}}
    if encode is not None:
        spec["encode"] = encode
    return yaml.safe_dump({"apiVersion": "sluice/v1", "kind": "Stream",
                           "metadata": {"name": name}, "spec": spec}, sort_keys=False)


def config(approve):
    return yaml.safe_dump({"apiVersion": "sluice/v1", "kind": "Config",
                           "metadata": {"name": "sluice"},
                           "spec": {"deletion": {"approve": approve}}}, sort_keys=False)


# --- processes -----------------------------------------------------------------------------------
def ident(pid):
    """Pid and start time: the same process, not just the same number. None when it is gone."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return pid, process.create_time()
    except psutil.Error:
        return None


class Reader:
    """A viewer: ffmpeg reading over RTSP (TCP) and decoding, each frame's time noted."""

    def __init__(self, url):
        self.pts = []
        self.arrived = []
        self.base = None
        self.process = subprocess.Popen(
            ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-analyzeduration",
             "500000", "-rtsp_transport", "tcp", "-timeout", "15000000", "-i", url, "-map", "0:v:0",
             "-fps_mode", "passthrough", "-enc_time_base", "-1", "-flush_packets", "1",
             "-f", "framecrc", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain_environment())
        self.errors = []
        self.threads = [threading.Thread(target=self._frames, daemon=True),
                        threading.Thread(target=self._errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _frames(self):
        for line in self.process.stdout:
            if line.startswith("#tb 0:"):
                over, under = line.split(":")[1].strip().split("/")
                self.base = int(over) / int(under)
            elif line[0] != "#":
                self.pts.append(int(line.split(",")[2]) * self.base)
                self.arrived.append(time.monotonic())

    def _errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip())

    @property
    def frames(self):
        return len(self.pts)

    def alive(self):
        return self.process.poll() is None

    def more(self, frames, timeout=15):
        """Waits for that many further frames."""
        goal = self.frames + frames

        def arrived():
            if self.frames < goal and not self.alive():
                raise EOFError
            return self.frames >= goal
        try:
            wait(arrived, f"{frames} further frames (have {self.frames}; {self.errors[-3:]})",
                 timeout)
        except EOFError:
            raise AssertionError(f"the reader ended at {self.frames} frames: "
                                 f"{self.errors[-5:]}") from None
        return self

    def max_step(self, first=0):
        pts = self.pts[first:]
        assert len(pts) > 1
        return max(b - a for a, b in zip(pts, pts[1:]))

    def min_step(self, first=0):
        pts = self.pts[first:]
        return min(b - a for a, b in zip(pts, pts[1:]))

    def close(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


def plain_environment():
    """Without what a build under sanitizers needs and others stumble over."""
    env = dict(os.environ)
    env.pop("LD_PRELOAD", None)
    return env


def run_cli(*arguments, timeout=20, env=None):
    return subprocess.run([str(SLUICE), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout * SLOW, env={**os.environ, "NO_COLOR": "1",
                                                       **(env or {})})


class World:
    def __init__(self, on_exit="stop", protocols=PROTOCOLS, media=("clip.mp4",), **settings):
        self.root = Path(tempfile.mkdtemp(prefix="slt-", dir="/tmp"))
        self.root.chmod(0o755)
        for name in ("streams", "media", "recordings"):
            (self.root / name).mkdir()
            (self.root / name).chmod(0o755)
        self.streams = self.root / "streams"
        self.media = self.root / "media"
        self.state = self.root / "state"
        self.run = self.root / "run"
        self.log_path = self.root / "daemon.log"
        for name in media:
            self.add_media(name, age=60)
        self.on_exit = on_exit
        self.ports = Ports()
        self.port = {name: self.ports.take() for name in (*PROTOCOLS, "api", "ice")}
        self.template = self.root / "mediamtx.yml"
        self.template.write_text(yaml.safe_dump(self._template(protocols), sort_keys=False))
        self.settings = {
            "manifests": str(self.streams), "media": str(self.media),
            "recordings": str(self.root / "recordings"), "state": str(self.state),
            "runtime": str(self.run), "listen": "127.0.0.1:0", "node": {"name": NODE},
            "mediamtx": {"managed": True, "binary": str(MEDIAMTX),
                         "template": str(self.template),
                         "api": f"http://127.0.0.1:{self.port['api']}"},
        }
        for key, value in settings.items():
            if isinstance(value, dict):
                self.settings[key] = {**self.settings.get(key, {}), **value}
            else:
                self.settings[key] = value
        self.config = self.root / "sluice.yaml"
        self.write_settings()
        self.process = None
        self.address = None
        self.readers = []

    def _template(self, protocols):
        port = self.port
        template = {
            "logLevel": "info", "logDestinations": ["stdout"],
            "api": True, "apiAddress": f"127.0.0.1:{port['api']}",
            "metrics": False, "pprof": False, "playback": False, "moq": False,
            "rtsp": True, "rtspTransports": ["tcp"],
            "rtspAddress": f"127.0.0.1:{port['rtsp']}",
            "webrtcLocalUDPAddress": f"127.0.0.1:{port['ice']}",
            "webrtcIPsFromInterfaces": False, "webrtcAdditionalHosts": ["127.0.0.1"],
        }
        for name in PROTOCOLS[1:]:
            template[name] = name in protocols
            template[f"{name}Address"] = f"127.0.0.1:{port[name]}"
        return template

    def write_settings(self):
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    # --- the daemon ---
    def spawn(self, *arguments):
        """Starts the daemon without waiting; its log goes on in the same file."""
        with open(self.log_path, "ab") as log:
            self.log_from = log.tell()
            self.process = subprocess.Popen(
                [str(SLUICE), "run", "--config", str(self.config), "--on-exit", self.on_exit,
                 *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**os.environ, "NO_COLOR": "1"})
        return self.process

    def start(self, *arguments):
        self.spawn(*arguments)

        def address():
            if self.process.poll() is not None:
                raise EOFError
            found = re.search(r"\bpage=\"?(http://[^\s\"]+)", self.log(self.log_from))
            return found and found.group(1)
        try:
            self.address = wait(address, "the daemon tells its page", 15).rstrip("/")
        except EOFError:
            raise AssertionError(f"sluice run ended with {self.process.returncode}:\n"
                                 + self.log(self.log_from)) from None
        return self

    def ends(self, timeout=15):
        """Starts a daemon that must refuse: its exit code and what it said."""
        process = self.spawn()
        try:
            code = process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError("sluice run did not end:\n" + self.log(self.log_from)) from None
        return code, self.log(self.log_from)

    def terminate(self, number=signal.SIGTERM, timeout=20):
        self.process.send_signal(number)
        return self.process.wait(timeout * SLOW)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self, start=0):
        try:
            with open(self.log_path, "rb") as log:
                log.seek(start)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def all_logs(self, last=None):
        text = self.log()[-last if last else 0:]
        for path in sorted((self.run / "log").glob("*.log")):
            text += f"\n--- {path.name}\n" + path.read_text(errors="replace")[-last if last else 0:]
        return text

    # --- files ---
    def write(self, name, text):
        """Like git and editors: a temporary, then a rename."""
        path = self.streams / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".{path.name}.tmp"
        part.write_text(text)
        part.rename(path)
        return path

    def remove(self, name):
        (self.streams / name).unlink()

    def add(self, *names, **kwargs):
        for name in names:
            self.write(f"{name.replace('/', '_')}.yaml", stream(name, **kwargs))

    def add_media(self, name, as_name=None, age=0):
        """Complete at once: copied beside, then renamed in. `age`: seconds since it was made."""
        path = self.media / (as_name or name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".{path.name}.tmp"
        shutil.copyfile(clip(name), part)
        part.chmod(0o644)
        os.utime(part, (time.time() - age,) * 2)
        part.rename(path)
        return path

    # --- what the page says ---
    def get(self, path, **kwargs):
        return requests.get(self.address + path, timeout=10 * SLOW, **kwargs)

    def status(self):
        answer = self.get("/api/v1/status")
        answer.raise_for_status()
        return answer.json()

    def stream(self, name, status=None):
        for one in (status or self.status())["streams"]:
            if one["name"] == name:
                return one
        return None

    def condition(self, name, kind):
        for one in self.stream(name)["conditions"]:
            if one["type"] == kind:
                return one
        return None

    def reasons(self, name):
        """All words and messages that the status has for a stream, as one text."""
        one = self.stream(name)
        return " ".join(f"{c['type']}={c['status']} {c['reason']} {c['message']}"
                        for c in one["conditions"]) + " " + json.dumps(one.get("encoder"))

    def file(self, name, status=None):
        for one in (status or self.status())["files"]:
            if one["path"] == name:
                return one
        return None

    @staticmethod
    def ready(one):
        return any(c["type"] == "Ready" and c["status"] == "True" for c in one["conditions"])

    def wait_settled(self, *names, timeout=15):
        """All these streams (default: all there are) are Ready. Gives the status."""
        def settled():
            status = self.status()
            streams = {one["name"]: one for one in status["streams"]}
            wanted = names or streams
            if all(name in streams and self.ready(streams[name]) for name in wanted):
                return status
            return None
        try:
            return wait(settled, f"{names or 'all'} ready", timeout)
        except Timeout as error:
            shown = []
            with contextlib.suppress(Exception):
                shown = [f"{one['name']}: " + self.reasons(one["name"])
                         for one in self.status()["streams"]
                         if one["name"] in (names or [one["name"]]) and not self.ready(one)]
            raise Timeout("\n".join([str(error), *shown[:5]])) from None

    def wait(self, condition, what, timeout=10):
        return wait(condition, what, timeout)

    def wait_seen(self):
        """The daemon has read the directory as it is now: a marker file shows up."""
        self.marker = getattr(self, "marker", 0) + 1
        name = f"zz-marker-{self.marker}.yaml"
        self.write(name, "!\n")
        wait(lambda: self.file(name), "the directory is read", 10)
        self.remove(name)
        wait(lambda: self.file(name) is None, "the directory is read again", 10)

    # --- processes ---
    def encoder(self, name):
        """The identity of a stream's encoder."""
        one = self.stream(name)
        return ident(one["encoder"]["pid"]) if one else None

    def encoders(self):
        return {one["name"]: one["encoder"]["pid"] for one in self.status()["streams"]
                if one.get("encoder") and one["encoder"].get("pid")}

    def records(self):
        found = []
        for path in self.run.glob("enc/*/record.json"):
            with contextlib.suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return found

    def host_pid(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(5)
            sock.connect(str(self.run / "host.sock"))
            sock.send(b'{"op":"hello","v":1}')
            return json.loads(sock.recv(4096))["pid"]

    def mediamtx_pid(self):
        root = str(self.root)
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            line = process.info["cmdline"] or []
            if (line and os.path.basename(line[0]).startswith("mediamtx")
                    and process.info["status"] != psutil.STATUS_ZOMBIE
                    and any(root in word for word in line[1:])):
                return process.info["pid"]
        return None

    def mediamtx(self):
        return ident(self.mediamtx_pid())

    def ours(self):
        """Every living process whose arguments or open files lie in our directory."""
        root = str(self.root) + "/"
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            pid = process.info["pid"]
            if pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            if any(root in word for word in process.info["cmdline"] or []):
                found.append(pid)
                continue
            with contextlib.suppress(OSError):
                for fd in os.scandir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        if os.readlink(fd.path).startswith(root):
                            found.append(pid)
                            break
        return found

    # --- MediaMTX ---
    def api(self, path, method="GET", **kwargs):
        secret = (self.state / "internal-user").read_text().strip()
        return requests.request(method, f"http://127.0.0.1:{self.port['api']}{path}",
                                auth=(f"sluice-{NODE}", secret), timeout=10, **kwargs)

    def paths(self):
        answer = self.api("/v3/paths/list?itemsPerPage=10000")
        answer.raise_for_status()
        return {one["name"]: one for one in answer.json()["items"]}

    def configured(self):
        answer = self.api("/v3/config/paths/list?itemsPerPage=10000")
        answer.raise_for_status()
        return {one["name"] for one in answer.json()["items"]}

    def url(self, name):
        return f"rtsp://127.0.0.1:{self.port['rtsp']}/{name}"

    def reader(self, name):
        reader = Reader(self.url(name))
        self.readers.append(reader)
        return reader

    # --- the end ---
    def stop(self):
        """SIGTERM; with on_exit stop nothing may be left."""
        code = self.terminate()
        assert code == 0, f"sluice run ended with {code}"
        if self.on_exit == "stop":
            left = self.ours()
            assert not left, "left behind: " + ", ".join(describe(pid) for pid in left)

    def close(self):
        """Ends whatever is still there. Gives sanitizers' findings, "" if none."""
        for reader in self.readers:
            reader.close()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10 * SLOW)
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + 3
            left = self.ours()
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, number)
            while left and time.monotonic() < end:
                left = [pid for pid in left if ident(pid)]
                time.sleep(0.01)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.ports.close()
        text = self.all_logs()
        at = min((text.find(mark) for mark in FAULT_MARKS if mark in text), default=-1)
        if os.environ.get("KEEP"):
            print(f"kept: {self.root}", file=sys.stderr)
        else:
            shutil.rmtree(self.root, ignore_errors=True)
        return text[max(0, at - 500):at + 6000] if at >= 0 else ""


def describe(pid):
    with contextlib.suppress(psutil.Error):
        return f"{pid} {' '.join(psutil.Process(pid).cmdline())[:120]}"
    return str(pid)
