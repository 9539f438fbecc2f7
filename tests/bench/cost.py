# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stream costs beside ffmpeg doing the same work at the same time, and how soon a camera's
picture is back. Parts of bench.py; alone:

    tests/bench/cost.py copy | transcode | comeback
"""
import contextlib
import json
import random
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

from camera import Camera, end, ffmpeg, looped, secrets  # noqa: E402
from coded import coded  # noqa: E402
from harness import (MEDIAMTX, REPO, Ports, World, clip, plain_environment,  # noqa: E402
                     stream, wait)

VIDEO = {"preset": "veryfast", "bitrate": "1M", "maxBitrate": "1500k", "keyframeInterval": "2s"}
# libavcodec's words for the same, and for what encoders/enc_software.c adds
FFMPEG = ["-map", "0:v:0", "-map", "0:a:0", "-map", "0:a:0", "-c:v", "libx264", "-preset",
          "veryfast", "-tune", "zerolatency", "-bf", "0", "-g", "50", "-keyint_min", "50",
          "-sc_threshold", "0", "-forced-idr", "1", "-b:v", "1M", "-maxrate", "1500k", "-bufsize",
          "3M", "-threads:v", "2", "-filter_threads", "1", "-x264-params", "repeat-headers=1",
          "-c:a:0", "aac", "-b:a:0", "128k", "-c:a:1", "libopus", "-ac:a:1", "2", "-b:a:1", "128k"]


def big_clip():
    """640x360, 25 frames a second, 20 s, mono tone."""
    path = REPO / "build" / "test-media" / "bench-640.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("part-bench-640.mp4")
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-nostdin", "-y", "-f", "lavfi", "-i",
             "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=440:sample_rate=48000",
             "-t", "20", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50",
             "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart",
             str(part)], check=True, env=plain_environment())
        part.rename(path)
    return path


class Plain:
    """A MediaMTX without users that takes what ffmpeg publishes."""

    def __init__(self):
        self.ports = Ports()
        self.folder = tempfile.TemporaryDirectory(prefix="slb-", dir="/tmp")
        self.rtsp, self.api = self.ports.take(), self.ports.take()
        file = Path(self.folder.name) / "mediamtx.yml"
        file.write_text(yaml.safe_dump({
            "api": True, "apiAddress": f"127.0.0.1:{self.api}", "rtspTransports": ["tcp"],
            "rtspAddress": f"127.0.0.1:{self.rtsp}", "rtmp": False, "hls": False, "webrtc": False,
            "srt": False, "moq": False, "paths": {"all_others": {}}}))
        with open(Path(self.folder.name) / "log", "w") as log:
            self.process = subprocess.Popen([str(MEDIAMTX), str(file)], stdout=log, stderr=log)

    def url(self, name):
        return f"rtsp://127.0.0.1:{self.rtsp}/{name}"

    def ready(self):
        items = requests.get(f"http://127.0.0.1:{self.api}/v3/paths/list", timeout=5).json()
        return {one["name"] for one in items["items"] if one["ready"]}

    def close(self):
        end(self.process)
        self.ports.close()
        self.folder.cleanup()


def cpu(pids):
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def side_by_side(media, encode, command, count, seconds):
    """CPU of `count` of ours and of ffmpeg's, all running at once: seconds a stream and second."""
    output = ["-f", "rtsp", "-rtsp_transport", "tcp"]
    with contextlib.ExitStack() as stack:
        world = World(protocols=("rtsp",), media=())
        stack.callback(world.close)
        world.add_media(media.name, age=60)
        world.start()
        names = [f"s{number}" for number in range(count)]
        world.add(*names, source={"file": {"path": media.name}}, encode=encode)
        plain = stack.enter_context(contextlib.closing(Plain()))
        wait(lambda: plain.ready() is not None, "a MediaMTX for ffmpeg")
        theirs = []
        for name in names:
            theirs.append(command(media, [*output, plain.url(name)]))
            stack.callback(end, theirs[-1])
        world.wait_settled(*names, timeout=60)
        wait(lambda: plain.ready() == set(names), "ffmpeg publishes", 60)
        time.sleep(3)
        ours = list(world.encoders().values())
        pids = [process.pid for process in theirs]
        before, began = (cpu(ours), cpu(pids)), time.monotonic()
        time.sleep(seconds)
        after, took = (cpu(ours), cpu(pids)), time.monotonic() - began
        mine, other = ((b - a) / took / count for a, b in zip(before, after))
    return {"ours_percent": 100 * mine, "ffmpeg_percent": 100 * other, "ratio": mine / other}


def copy(seconds=30, count=20):
    def command(media, output):
        return looped(media, *output)
    return side_by_side(clip("clip.mp4"), {"copy": {}}, command, count, seconds)


def transcode(seconds=40, count=2):
    def command(media, output):
        return ffmpeg("-threads", "1", "-re", "-stream_loop", "-1", "-i", str(media), *FFMPEG,
                      *output)
    return side_by_side(big_clip(), {"transcode": {"video": VIDEO, "audio": {"bitrate": "128k"}}},
                        command, count, seconds)


def comeback(trials=6):
    """A camera goes off and comes back: from its own picture to ours, in ms."""
    chance = random.Random(1)
    result = {}
    with contextlib.ExitStack() as stack:
        camera = stack.enter_context(contextlib.closing(Camera({"one": coded(1, "coded-01.mp4")})))
        world = World(protocols=("rtsp",), media=())
        stack.callback(world.close)
        secrets(world, **camera.secrets_of())
        world.start()
        ways = {"copy": {"copy": {}}, "transcode": {"transcode": {"video": {
            "preset": "ultrafast"}}}}
        for way, encode in ways.items():
            world.write(f"{way}.yaml", stream(way, source=camera.rtsp("one"), encode=encode))
        took = {way: [] for way in ways}
        for _ in range(trials):
            world.wait_settled(*ways, timeout=30)
            camera.stop()
            for way in ways:
                wait(lambda w=way: world.condition(w, "Ready")["reason"] == "SourceUnreachable",
                     "the loss is seen", 30)
            time.sleep(chance.uniform(2, 8))
            camera.start(wait_for_paths=False)
            own, left = None, set(ways)
            while left:
                now = time.monotonic()
                with contextlib.suppress(requests.RequestException, KeyError):
                    if own is None and camera.known()["one"]["ready"]:
                        own = now
                    paths = world.paths()
                    for way in list(left):
                        # a plain path whose pull is dead says `online` all the same
                        if own and paths[way]["available" if way == "copy" else "online"]:
                            took[way].append((now - own) * 1000)
                            left.discard(way)
                time.sleep(0.01)
        for way, times in took.items():
            result[f"comeback_{way}_ms"] = [round(one) for one in times]
            result[f"comeback_{way}_median_ms"] = statistics.median(times)
            result[f"comeback_{way}_worst_ms"] = max(times)
    return result


if __name__ == "__main__":
    print(json.dumps({"copy": copy, "transcode": transcode, "comeback": comeback}[sys.argv[1]](),
                     indent=1))
