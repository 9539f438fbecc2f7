#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sluice beside what a user has today: mediamtx.yml with runOnInit ffmpeg, same clip, same machine.

    make bench              100 streams
    make bench N=300
    tests/bench/bench.py --streams 20 --adds 5 --no-native

Prints a table with ratios and bounds, and each figure beside that of the run before; keeps all
figures in build/bench/DATE.json; exits 1 when a bound is missed.
The clock of "written → live" runs from the rename of the file to the path's `available`, asked
of MediaMTX every 5 ms.
"""
import argparse
import contextlib
import datetime
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import psutil  # noqa: E402
import requests  # noqa: E402
import yaml  # noqa: E402

import cost  # noqa: E402
from harness import BUILD, MEDIAMTX, REPO, Ports, World, clip  # noqa: E402

# Bounds of the work order; None: shown only.
BOUNDS = {"all_ready_s": 1.0, "live_median_ms": 100, "live_worst_ms": 250, "memory_mb": 1.5,
          "cpu_percent": None, "thousand_paths_s": 0.5}
# Beside ffmpeg, on the same work at the same time; and a camera's way back.
RATIO_BOUNDS = {"copy": 0.6, "transcode": 1.03}
COMEBACK_BOUND = 2000  # ms
LABELS = {"all_ready_s": "{n} streams, empty start to all ready (s)",
          "live_median_ms": "manifest written to live at {n}, median (ms)",
          "live_worst_ms": "manifest written to live at {n}, worst (ms)",
          "memory_mb": "private memory an encoder (MB)",
          "cpu_percent": "CPU an encoder (% of a core)",
          "thousand_paths_s": "1,000 path configurations brought to MediaMTX (s)"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def until(condition, what, timeout, interval=0.005):
    """Gives the time at which the condition was first seen true."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(requests.RequestException, KeyError, ValueError, OSError):
            if condition():
                return time.monotonic()
        if time.monotonic() > end:
            sys.exit(f"bench: not within {timeout} s: {what}")
        time.sleep(interval)


class Api:
    def __init__(self, port, auth=None):
        self.base = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.auth = auth

    def all_ready(self, count):
        items = self.session.get(self.base + "/v3/paths/list?itemsPerPage=10000",
                                 timeout=10).json()["items"]
        return len(items) == count and all(one.get("available", one["ready"]) for one in items)

    def ready(self, name):
        answer = self.session.get(f"{self.base}/v3/paths/get/{name}", timeout=10)
        if answer.status_code != 200:
            return False
        one = answer.json()
        return one.get("available", one["ready"])


def private_bytes(pids):
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pids):
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def costs(pids, seconds):
    """Private memory and CPU of each, over some seconds of steady running."""
    before, began = cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    used, took = cpu_seconds(pids) - before, time.monotonic() - began
    return {"memory_mb": private_bytes(pids) / len(pids) / 1e6,
            "cpu_percent": 100 * used / took / len(pids)}


def live_times(add, ready, count, pauses):
    times = []
    for number in range(count):
        time.sleep(pauses.uniform(1.2, 3.0))
        name = f"added{number}"
        began = add(name)
        times.append((until(lambda n=name: ready(n), f"{name} is live", 30) - began) * 1000)
    return {"live_median_ms": statistics.median(times), "live_worst_ms": max(times),
            "live_ms": [round(one, 1) for one in times]}


# --- native ------------------------------------------------------------------------------------
class Native:
    def __init__(self, count):
        self.root = Path(tempfile.mkdtemp(prefix="slb-", dir="/tmp"))
        (self.root / "conf").mkdir()
        shutil.copyfile(clip("clip.mp4"), self.root / "clip.mp4")
        self.ports = Ports()
        self.rtsp, self.api_port = self.ports.take(), self.ports.take()
        self.names = [f"cam{number}" for number in range(count)]
        self.file = self.root / "conf" / "mediamtx.yml"

    def render(self):
        command = (f"ffmpeg -nostdin -loglevel error -re -stream_loop -1 -i "
                   f"{self.root}/clip.mp4 -c copy -f rtsp rtsp://127.0.0.1:{self.rtsp}/$MTX_PATH")
        text = yaml.safe_dump({
            "api": True, "apiAddress": f"127.0.0.1:{self.api_port}", "rtspTransports": ["tcp"],
            "rtspAddress": f"127.0.0.1:{self.rtsp}", "rtmp": False, "hls": False, "webrtc": False,
            "srt": False, "moq": False,
            "paths": {name: {"runOnInit": command, "runOnInitRestart": True}
                      for name in self.names}})
        part = self.root / "mediamtx.tmp"
        part.write_text(text)
        began = time.monotonic()
        part.rename(self.file)
        return began

    def add(self, name):
        self.names.append(name)
        return self.render()

    def encoders(self):
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)
                if child.name() == "ffmpeg"]

    def measure(self, adds, seconds):
        self.render()
        with open(self.root / "log", "w") as log:
            began = time.monotonic()
            self.process = subprocess.Popen([str(MEDIAMTX), str(self.file)], stdout=log, stderr=log)
        try:
            api = Api(self.api_port)
            count = len(self.names)
            result = {"all_ready_s": until(lambda: api.all_ready(count), "native: all ready", 120)
                      - began}
            say(f"native: all ready after {result['all_ready_s']:.2f} s")
            result.update(costs(self.encoders(), seconds))
            result.update(live_times(self.add, api.ready, adds, random.Random(1)))
            return result
        finally:
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            self.ports.close()
            shutil.rmtree(self.root)


# --- Sluice ------------------------------------------------------------------------------------
def sluice(count, adds, seconds):
    world = World(protocols=("rtsp",))
    try:
        names = [f"cam{number}" for number in range(count)]
        world.add(*names)
        began = time.monotonic()
        world.start()
        secret = world.state / "internal-user"
        until(lambda: secret.exists() and secret.read_text().strip(), "Sluice: its secret", 20)
        api = Api(world.port["api"], ("sluice-test", secret.read_text().strip()))
        result = {"all_ready_s": until(lambda: api.all_ready(count), "Sluice: all ready", 120)
                  - began}
        say(f"sluice: all ready after {result['all_ready_s']:.2f} s")
        world.wait_settled(timeout=60)
        result.update(costs(list(world.encoders().values()), seconds))
        others = {"daemon": world.process.pid, "host": world.host_pid()}
        result["memory_of_others_mb"] = {name: private_bytes([pid]) / 1e6
                                         for name, pid in others.items()}

        def add(name):
            text = (world.streams / "cam0.yaml").read_text().replace("cam0", name)
            part = world.streams / f".{name}.tmp"
            part.write_text(text)
            at = time.monotonic()
            part.rename(world.streams / f"{name}.yaml")
            return at
        result.update(live_times(add, api.ready, adds, random.Random(1)))
        world.wait_settled(timeout=60)
        restarts = sum(one["encoder"]["restarts"] for one in world.status()["streams"])
        result["restarts"] = restarts
        world.stop()
        return result
    finally:
        world.close()


def template(ports):
    """A quiet MediaMTX with RTSP and its API: the text and the API's port."""
    api = ports.take()
    return yaml.safe_dump({
        "api": True, "apiAddress": f"127.0.0.1:{api}", "rtsp": True, "rtspTransports": ["tcp"],
        "rtspAddress": f"127.0.0.1:{ports.take()}", "rtmp": False, "hls": False, "webrtc": False,
        "srt": False, "moq": False}), api


def paths_by_api(count):
    """What one has without Sluice: a call a path."""
    ports = Ports()
    with tempfile.TemporaryDirectory(prefix="slb-", dir="/tmp") as root:
        text, port = template(ports)
        file = Path(root) / "mediamtx.yml"
        file.write_text(text)
        process = subprocess.Popen([str(MEDIAMTX), str(file)], stdout=subprocess.DEVNULL)
        try:
            session = requests.Session()
            base = f"http://127.0.0.1:{port}/v3/config/paths"
            until(lambda: session.get(base + "/list", timeout=5).ok, "MediaMTX is up", 10)
            began = time.monotonic()
            for number in range(count):
                session.post(f"{base}/add/path{number}", json={"source": "publisher"},
                             timeout=60).raise_for_status()
            until(lambda: session.get(base + "/list", timeout=60).json()["itemCount"] >= count,
                  "all paths there", 60)
            return {"thousand_paths_s": time.monotonic() - began}
        finally:
            process.terminate()
            process.wait(20)
            ports.close()


def paths_by_sluice(count):
    """The writer to MediaMTX alone, driven by tests/e2e/engine_interleave.c."""
    inside = BUILD.is_relative_to(REPO / "build")
    driver = (BUILD if inside else REPO / "build" / "release") / "engine_interleave"
    subprocess.run(["make", "-s", str(driver.relative_to(REPO))], cwd=REPO, check=True)
    ports = Ports()
    with tempfile.TemporaryDirectory(prefix="slb-", dir="/tmp") as root:
        text, port = template(ports)
        file = Path(root) / "template.yml"
        file.write_text(text)
        done = subprocess.run([str(driver), root, str(MEDIAMTX), str(file),
                               f"http://127.0.0.1:{port}", "bench", str(count)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=180)
        ports.close()
    if done.returncode != 0:
        sys.exit(f"bench: the driver failed ({done.returncode}): {done.stderr[-800:]}")
    figures = json.loads(done.stdout.splitlines()[-1])
    return {"thousand_paths_s": figures["all_by_file_ms"] / 1000, "writer": figures}


# --- the table ---------------------------------------------------------------------------------
def show(native, ours, count):
    print(f"{'':56}{'native':>9}{'sluice':>9}{'ratio':>9}{'bound':>8}")
    missed = []
    for key, label in LABELS.items():
        have, other, bound = ours.get(key), native.get(key), BOUNDS[key]
        if have is None:
            continue
        if count != 100 and key == "all_ready_s":
            bound = bound * max(count, 100) / 100
        ratio = f"{other / have:.1f} x" if other and have else "-"
        verdict = ""
        if bound is not None and have > bound:
            missed.append(key)
            verdict = "  MISSED"
        print(f"{label.format(n=count):56}{f'{other:.2f}' if other else '-':>9}{have:>9.2f}"
              f"{ratio:>9}{bound if bound is not None else '-':>8}{verdict}")
    return missed


def show_beside(figures):
    """CPU beside ffmpeg and the camera's way back, against their bounds."""
    missed = []
    for way, bound in RATIO_BOUNDS.items():
        one = figures[way]
        verdict = ""
        if one["ratio"] > bound:
            missed.append(way)
            verdict = "  MISSED"
        print(f"{f'CPU of {way} beside ffmpeg (% of a core a stream)':56}"
              f"{one['ffmpeg_percent']:>9.2f}{one['ours_percent']:>9.2f}{one['ratio']:>9.2f}"
              f"{bound:>8}{verdict}")
    for way in RATIO_BOUNDS:
        worst = figures[f"comeback_{way}_worst_ms"]
        verdict = ""
        if worst > COMEBACK_BOUND:
            missed.append(f"comeback_{way}")
            verdict = "  MISSED"
        print(f"{f'camera back to picture, {way}: median, worst (ms)':56}"
              f"{figures[f'comeback_{way}_median_ms']:>9.0f}{worst:>9.0f}{'-':>9}"
              f"{COMEBACK_BOUND:>8}{verdict}")
    return missed


def flat(figures, prefix=""):
    """Numbers by dotted name."""
    found = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[prefix + key] = value
    return found


def previous(folder, figures):
    """The newest kept run of as many streams on as many cores."""
    for file in sorted(folder.glob("*.json"), reverse=True):
        with contextlib.suppress(ValueError, KeyError):
            one = json.loads(file.read_text())
            if (one["streams"], one["cores"]) == (figures["streams"], figures["cores"]):
                return file, one
    return None, None


def show_trend(folder, figures):
    """Ratios to what ffmpeg and MediaMTX need compare across days; seconds do so less well."""
    file, before = previous(folder, figures)
    if not before:
        print("\nno earlier run of this size to compare with")
        return
    print(f"\nbeside {file.name} (changes of 10 % and more)")
    old, new = flat(before), flat(figures)
    shown = [(name, old[name], value) for name, value in new.items()
             if name in old and not name.startswith(("bounds", "streams", "cores"))
             and old[name] and abs(value / old[name] - 1) >= 0.1]
    for name, was, value in shown:
        print(f"  {name:48}{was:>12.3f}{value:>12.3f}{100 * (value / was - 1):>+8.0f} %")
    if not shown:
        print("  none")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--adds", type=int, default=20, help="manifests added one by one")
    parser.add_argument("--native-adds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="of steady running measured")
    parser.add_argument("--no-native", action="store_true", help="without many native streams")
    parser.add_argument("--keep", default=str(REPO / "build" / "bench"),
                        help="directory of the kept runs")
    option = parser.parse_args()
    native = {}
    if not option.no_native:
        native = Native(option.streams).measure(option.native_adds, option.seconds)
    ours = sluice(option.streams, option.adds, option.seconds)
    ours.update(paths_by_sluice(1000))
    if native:
        native.update(paths_by_api(1000))
    say("beside ffmpeg: copy, transcode, then a camera's way back")
    beside = {"copy": cost.copy(), "transcode": cost.transcode(), **cost.comeback()}
    missed = show(native, ours, option.streams) + show_beside(beside)
    now = datetime.datetime.now(datetime.timezone.utc)
    figures = {"date": now.isoformat(timespec="seconds"), "streams": option.streams,
               "cores": os.cpu_count(), "native": native, "sluice": ours, "beside": beside,
               "bounds": BOUNDS, "missed": missed}
    if native:
        figures["ratios"] = {key: native[key] / ours[key] for key in LABELS
                             if native.get(key) and ours.get(key)}
    folder = Path(option.keep)
    folder.mkdir(parents=True, exist_ok=True)
    show_trend(folder, figures)
    file = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    file.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"kept: {file}")
    if ours["restarts"]:
        print(f"{ours['restarts']} encoders ended without being asked")
    return 1 if missed or ours["restarts"] else 0


if __name__ == "__main__":
    sys.exit(main())
