# SPDX-License-Identifier: GPL-2.0-or-later
"""File and API writes in random turns drop no publisher, and what is wanted is what MediaMTX has.

SLUICE_INTERLEAVINGS (120; 500 by hand, docs/adr/0004) and SLUICE_SEED choose the run.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEDIAMTX = ROOT / "build/mediamtx/mediamtx"
BUILD = ROOT / "build" / os.environ.get("VARIANT", "release")
ROUNDS = int(os.environ.get("SLUICE_INTERLEAVINGS", "120"))
UP = "up|||agrees|{}"  # reachable, no error, all as wanted, restarts seen
SEED = int(os.environ.get("SLUICE_SEED", "1"))


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


@pytest.fixture(name="driver")
def fixture_driver():
    given = os.environ.get("ENGINE_DRIVER")
    if not given:
        subprocess.run(["make", "-s", f"{BUILD.relative_to(ROOT)}/engine_interleave"], cwd=ROOT,
                       check=True)
    return given or str(BUILD / "engine_interleave")


class Engine:
    """A driver process with a template of its own; ended, with its MediaMTX, by pid.

    whose: "managed"; "shared" (another's, which loads our file); "remote" (its API alone).
    """

    def __init__(self, driver, tmp_path, whose, *args):
        self.dir = tmp_path
        self.api, self.rtsp = free_ports(2)
        template = tmp_path / "template.yml"
        template.write_text(
            f"logLevel: info\napi: yes\napiAddress: 127.0.0.1:{self.api}\nrtsp: yes\n"
            f"rtspTransports: [tcp]\nrtspAddress: 127.0.0.1:{self.rtsp}\n"
            "rtmp: no\nhls: no\nwebrtc: no\nsrt: no\nmoq: no\n")
        self.log = open(tmp_path / "driver.log", "w", encoding="utf-8")
        self.theirs = None
        if whose != "managed":
            (tmp_path / "mediamtx").mkdir()
            (tmp_path / "mediamtx/mediamtx.yml").write_text(template.read_text())
            self.start_theirs()
        self.process = subprocess.Popen(
            [driver, str(tmp_path), str(MEDIAMTX) if whose == "managed" else "-",
             "-" if whose == "remote" else str(template), f"http://127.0.0.1:{self.api}",
             *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            text=True)

    def start_theirs(self):
        if self.theirs:
            self.theirs.kill()
            self.theirs.wait()
        self.theirs = subprocess.Popen([str(MEDIAMTX), str(self.dir / "mediamtx/mediamtx.yml")],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def record(self):
        return json.loads((self.dir / "mediamtx/record.json").read_text())

    def close(self):
        try:
            pid = self.record()["pid"]
        except (OSError, ValueError):
            pid = 0
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        if self.theirs:
            self.theirs.kill()
            self.theirs.wait()
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture(name="start")
def fixture_start(driver, tmp_path):
    engines = []

    def begin(*args):
        engines.append(Engine(driver, tmp_path, *args))
        return engines[-1]
    yield begin
    for engine in engines:
        engine.close()


def publish(url):
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i",
         "testsrc=size=64x64:rate=5", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10",
         "-f", "rtsp", "-rtsp_transport", "tcp", url],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return result


def test_no_publisher_is_dropped(start):
    engine = start("managed", "interleave", ROUNDS, SEED)
    word, url, user, password = engine.line().split()
    assert word == "READY"

    def get(target):
        return requests.get(f"http://127.0.0.1:{engine.api}/v3/{target}", auth=(user, password),
                            timeout=20).json()

    def cams():
        return {p["name"]: p for p in get("paths/list?itemsPerPage=1000")["items"]
                if p["name"].startswith("cam/")}

    def allowed():
        """Who may publish where, and where every second path of the rounds says it."""
        users = [(p["path"], u["user"]) for u in get("config/global/get")["authInternalUsers"]
                 for p in u["permissions"] if p["path"]]
        names = [p["name"] for p in get("config/paths/list?itemsPerPage=1000")["items"]]
        return users, [(n, "obs") for n in names if n[0] == "x" and int(n[2:]) % 2]

    base = url.replace("rtsp://", f"rtsp://{user}:{password}@")
    publishers = [publish(f"{base}/cam/{i}") for i in range(3)]
    try:
        before = until(lambda: (lambda c: c if len(c) == 3 and
                                all(p["online"] for p in c.values()) else None)(cams()))
        engine.say()
        result = json.loads(engine.line())
        after = cams()
        print(result)
        assert result["agrees"] and result["rounds"] == ROUNDS and result["restarts"] == 0
        users, expected = allowed()
        assert users == expected and users
        assert all(p.poll() is None for p in publishers)
        for name, path in before.items():
            for key in ("source", "onlineTime", "availableTime"):
                assert after[name][key] == path[key], name
            assert after[name]["inboundBytes"] > path["inboundBytes"], name
        engine.say()
        assert engine.process.wait(30) == 0
    finally:
        for publisher in publishers:
            publisher.kill()
            publisher.wait()


def test_killed_comes_back_with_everything(start):
    engine = start("managed", "run", 30)
    until(lambda: engine.line() == UP.format(0))
    first = engine.record()["pid"]
    os.kill(first, signal.SIGKILL)
    assert until(engine.line).startswith("down|EngineDied|MediaMTX was killed by signal 9")
    until(lambda: engine.line() == UP.format(1))
    assert engine.record()["pid"] != first


def test_outlives_the_daemon_and_is_adopted(start, driver):
    engine = start("managed", "run", 30)
    until(lambda: engine.line() == UP.format(0))
    first = engine.record()
    engine.process.kill()
    engine.process.wait()
    again = subprocess.Popen(
        [driver, str(engine.dir), str(MEDIAMTX), str(engine.dir / "template.yml"),
         f"http://127.0.0.1:{engine.api}", "run", "4"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    out, err = again.communicate(timeout=30)
    assert UP.format(0) in out and "mediamtx adopted" in err
    assert "mediamtx started" not in err
    assert f"pid={first['pid']} reason=\"on-exit=stop\"" in err


def test_port_in_use_is_named(start, driver, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        template = tmp_path / "busy.yml"
        template.write_text(f"rtspAddress: 127.0.0.1:{port}\nrtmp: no\nhls: no\nwebrtc: no\n"
                            "srt: no\n")
        api = free_ports(1)[0]
        done = subprocess.run([driver, str(tmp_path), str(MEDIAMTX), str(template),
                               f"http://127.0.0.1:{api}", "run", "1"], capture_output=True,
                              text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert f"PortInUse: port {port}" in done.stderr and "rtspAddress" in done.stderr
    # Taken after the check: MediaMTX dies, its log line is told, and it comes up when it is free.
    engine = start("managed", "run", 30)
    until(lambda: engine.line() == UP.format(0))
    pid = engine.record()["pid"]
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    for _ in range(2000):
        try:
            taken = socket.create_server(("127.0.0.1", engine.rtsp))
            break
        except OSError:
            time.sleep(0.001)
    with taken:
        lines = []
        until(lambda: lines.append(engine.line()) or lines[-1].startswith("down|PortInUse"))
        assert f"port {engine.rtsp}" in lines[-1] and "bind: address already in use" in lines[-1]
    until(lambda: engine.line() == UP.format(1))


@pytest.mark.parametrize("whose", ["shared", "remote"])
def test_somebody_elses(start, whose):
    engine = start(whose, "run", 30)
    until(lambda: engine.line() == UP.format(0))
    text = (engine.dir / "mediamtx/mediamtx.yml").read_text()
    assert ("sluice-gen-" in text) == (whose == "shared")
    engine.start_theirs()
    until(lambda: engine.line() == UP.format(1))
