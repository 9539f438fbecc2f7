# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders alone: a MediaMTX that serves, perhaps one that is the camera, and files made here.

BUILD chooses the build directory, as in tests/e2e; whatever is started ends with its fixture.
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import (BUILD, ENCODER, FAULT_MARKS, MEDIAMTX, REPO, SLOW, Ports,  # noqa: E402,F401
                     Reader, plain_environment, wait)

UID = "00000000000000aa"
FOLDER = REPO / "build" / "test-media"
SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
TONE = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "64k"]
AV = [*SOURCE, *TONE, "-t", "4", *X264]

# Files of every odd kind; each is made once a machine.
FILES = {
    "plain.mp4": [*AV, "-bf", "0", *AAC, "-movflags", "+faststart"],
    "bframes.mp4": [*AV, "-bf", "2", *AAC],
    "ntsc.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30000/1001", "-f", "lavfi", "-i",
                 "sine=frequency=440:sample_rate=44100", "-t", "3.1", *X264, "-bf", "3", *AAC],
    "long-sound.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", *TONE,
                       "-t", "3.4", *X264, "-bf", "2", *AAC],
    "short-sound.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", "-f",
                        "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2.99", *X264,
                        "-bf", "2", *AAC],
    "no-sound.mp4": [*SOURCE, "-t", "4", *X264, "-bf", "0"],
    "sound-only.m4a": [*TONE, "-t", "4", *AAC],
    "sound-only.mp3": [*TONE, "-t", "4", "-c:a", "libmp3lame"],
    "surround.mp4": [*SOURCE, "-f", "lavfi", "-i",
                     "aevalsrc=sin(440*2*PI*t)|sin(880*2*PI*t)|0|0|0|0:c=5.1:s=48000", "-t", "4",
                     *X264, "-bf", "0", "-c:a", "aac", "-b:a", "256k"],
    "ten-bit.mp4": [*SOURCE, *TONE, "-t", "4", "-c:v", "libx264", "-preset", "veryfast", "-g",
                    "50", "-pix_fmt", "yuv420p10le", *AAC],
    "hevc.mp4": [*SOURCE, *TONE, "-t", "4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                 "log-level=none:keyint=50:bframes=0", "-pix_fmt", "yuv420p", *AAC],
    "interlaced.mp4": ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=50", *TONE, "-t", "4",
                       "-vf", "tinterlace=interleave_top,fieldorder=tff", *X264, "-bf", "0",
                       "-flags", "+ildct+ilme", "-x264-params", "tff=1", *AAC],
    "anamorphic.mp4": ["-f", "lavfi", "-i", "testsrc2=size=360x288:rate=25,setsar=16/15", *TONE,
                       "-t", "4", *X264, "-bf", "0", *AAC],
    # noise: some Mbit/s
    "loud.mp4": ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25,noise=alls=60:allf=t", *TONE,
                 "-t", "4", *X264[:-2], "-pix_fmt", "yuv420p", "-bf", "0", "-b:v", "8M", *AAC],
    "clip.ts": [*AV, "-bf", "2", *AAC, "-f", "mpegts"],
    "clip.mkv": [*AV, "-bf", "2", "-c:a", "libopus"],
    "clip.webm": [*SOURCE, *TONE, "-t", "4", "-c:v", "libvpx", "-b:v", "300k", "-deadline",
                  "realtime", "-g", "50", "-c:a", "libopus"],
    "clip.flv": [*AV, "-bf", "0", *AAC],
    "clip.avi": [*SOURCE, *TONE, "-t", "4", "-c:v", "mpeg4", "-g", "50", "-c:a", "libmp3lame"],
    "ac3.mp4": [*AV, "-bf", "0", "-c:a", "ac3"],
    "encrypted.mp4": [*AV, "-bf", "0", *AAC, "-encryption_scheme", "cenc-aes-ctr",
                      "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid",
                      "a7e61c373e219033c21091fa607bf3b8"],
    # a flash and a beep at the same moment, then darkness and silence; not a whole number of sound
    # frames, B-frames, an edit list and priming
    "flash.mp4": ["-f", "lavfi", "-i", "color=black:s=160x120:r=25:d=1.96,"
                  "drawbox=c=white:t=fill:enable='between(t,0.39,0.59)'", "-f", "lavfi", "-i",
                  "aevalsrc='if(between(t,0.4,0.6),0.8*sin(2*PI*1000*t),0)':s=48000:d=1.95", *X264,
                  "-bf", "2", "-c:a", "aac", "-b:a", "96k"],
    "short.mp4": ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1", "-f", "lavfi", "-i",
                  "sine=frequency=440:sample_rate=44100:duration=1.01", *X264, "-bf", "2", *AAC],
}


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
                    *map(str, arguments)], check=True, env=plain_environment())


def _vfr(to):
    """Pictures at 25 and 8 a second and a gap of 3 s without any; sound through all of it."""
    ffmpeg("-f", "lavfi", "-i",
           "testsrc2=size=320x180:rate=25,select='lt(t,1.5)+gte(t,4.5)*not(mod(n,3))'",
           *TONE, "-t", "6", "-fps_mode", "vfr", *X264, "-bf", "0", *AAC, "-movflags", "+faststart", to)


def _rotated(to):
    """A phone held upright: stored as a wide picture, to be turned by 90 degrees."""
    ffmpeg("-i", made("plain.mp4"), "-c", "copy", "-metadata:s:v:0", "rotate=90", to)


def _truncated(to):
    data = made("plain.mp4").read_bytes()
    to.write_bytes(data[:len(data) * 6 // 10])


def _headless(to):
    data = made("bframes.mp4").read_bytes()
    to.write_bytes(data[:len(data) * 6 // 10])


def _other_name(to):
    shutil.copyfile(made("clip.mkv"), to)


def _resized(to):
    """MPEG-TS whose picture changes from 320x180 to 240x136 in mid-stream."""
    with tempfile.TemporaryDirectory(prefix="slm-") as folder:
        parts = []
        for number, size in enumerate(("320x180", "240x136")):
            part = Path(folder) / f"{number}.ts"
            ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", *TONE, "-t", "3", *X264,
                   "-bf", "0", *AAC, "-output_ts_offset", 3 * number, "-f", "mpegts", part)
            parts.append(part.read_bytes())
    to.write_bytes(b"".join(parts))


def _jump(to):
    """MPEG-TS whose clock jumps by an hour in its middle, and back."""
    with tempfile.TemporaryDirectory(prefix="slm-") as folder:
        parts = []
        for number, offset in enumerate((10, 3600, 13)):
            part = Path(folder) / f"{number}.ts"
            ffmpeg(*SOURCE, *TONE, "-t", "2", *X264, "-bf", "0", *AAC, "-output_ts_offset", offset,
                   "-f", "mpegts", part)
            parts.append(part.read_bytes())
    to.write_bytes(b"".join(parts))


MAKERS = {
    "vfr.mp4": _vfr, "rotated.mp4": _rotated, "truncated.mp4": _truncated,
    "headless.mp4": _headless, "really-matroska.mp4": _other_name, "resized.ts": _resized,
    "jump.ts": _jump,
    "empty.mp4": lambda to: to.write_bytes(b""),
    "text.mp4": lambda to: to.write_text("This is no video.\n" * 500),
    "noise.mp4": lambda to: to.write_bytes(bytes((n * 7919 + n // 13) % 251 for n in range(60000))),
    "picture.mp4": lambda to: ffmpeg(*SOURCE, "-frames:v", "1", "-f", "image2", "-c:v", "mjpeg",
                                     to),
}


def made(name):
    """A file of the tables, made once a machine and old enough to be complete."""
    folder = FOLDER / "odd"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        return path
    part = folder / f"part-{os.getpid()}-{name}"
    if name in MAKERS:
        MAKERS[name](part)
    else:
        ffmpeg(*FILES[name], part)
    os.utime(part, (1.7e9, 1.7e9))
    part.rename(path)
    return path


@contextlib.contextmanager
def only_one(name):
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Server:
    """A MediaMTX: what we publish to, or the camera that we read from."""

    def __init__(self, users=None, protocols=("rtsp",), paths=None, transports=("tcp",)):
        self.root = Path(tempfile.mkdtemp(prefix="slm-", dir="/tmp"))
        self.ports = Ports()
        names = ("rtsp", "rtmp", "hls", "srt", "api")
        self.port = {name: self.ports.take() for name in names}
        settings = {
            "logLevel": "info", "logDestinations": ["stdout"], "api": True,
            "apiAddress": f"127.0.0.1:{self.port['api']}", "metrics": False, "pprof": False,
            "playback": False, "moq": False, "webrtc": False,
            "rtspTransports": list(transports), "paths": paths or {"all_others": {}},
        }
        if "udp" in transports:
            port = self._pair()
            settings |= {"rtpAddress": f"127.0.0.1:{port}", "rtcpAddress": f"127.0.0.1:{port + 1}"}
        for name in names[:-1]:
            settings[name] = name in protocols
            settings[f"{name}Address"] = f"127.0.0.1:{self.port[name]}"
        if "hls" in protocols:
            settings |= {"hlsVariant": "mpegts", "hlsSegmentDuration": "1s", "hlsAlwaysRemux": True}
        if users is not None:
            settings["authInternalUsers"] = [
                {"user": "any", "pass": "", "ips": [], "permissions": [
                    {"action": "publish"}, {"action": "api"}]}, *users]
        self.file = self.root / "mediamtx.yml"
        self.file.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.process = None
        self.start()

    def _pair(self):
        while True:
            port = self.ports.take()
            if port % 2 == 0:
                return port

    def start(self):
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen([str(MEDIAMTX), str(self.file)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)

        def listens():
            with socket.create_connection(("127.0.0.1", self.port["rtsp"]), 1):
                return True
        wait(listens, "MediaMTX listens")
        return self

    def url(self, name, protocol="rtsp"):
        port = self.port[protocol]
        return {"rtsp": f"rtsp://127.0.0.1:{port}/{name}",
                "rtmp": f"rtmp://127.0.0.1:{port}/{name}",
                "hls": f"http://127.0.0.1:{port}/{name}/index.m3u8",
                "srt": f"srt://127.0.0.1:{port}?streamid=read:{name}"}[protocol]

    def path(self, name):
        import requests
        answer = requests.get(f"http://127.0.0.1:{self.port['api']}/v3/paths/get/{name}", timeout=5)
        answer.raise_for_status()
        return answer.json()

    def log(self):
        return (self.root / "log").read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, kill=False):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            (self.process.kill if kill else self.process.terminate)()
        self.process.wait()

    def close(self):
        self.stop(kill=True)
        self.ports.close()
        shutil.rmtree(self.root, ignore_errors=True)


class Encoder:
    """`sluice-encoder run` with a runtime directory: its record, figures and log."""

    def __init__(self, spec, environment=None):
        self.root = Path(tempfile.mkdtemp(prefix="sle-", dir="/tmp"))
        spec = {"uid": UID, "name": "test", **spec}
        self.spec = self.root / "spec.json"
        self.spec.write_text(json.dumps(spec))
        self.errors = open(self.root / "stderr", "wb")
        self.process = subprocess.Popen(
            [str(ENCODER), "run", "--runtime", str(self.root), str(self.spec)],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
            env={**os.environ, **(environment or {})})

    def record(self):
        return json.loads((self.root / "enc" / UID / "record.json").read_text())

    def wait(self, state, reason=None, timeout=15):
        def there():
            record = self.record()
            return record["state"] == state and reason in (None, record["reason"]) and record
        try:
            return wait(there, f"encoder is {state} {reason or ''}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def live(self, timeout=20):
        return self.wait("Live", "", timeout)

    def ask(self, op):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(5 * SLOW)
            sock.connect(str(self.root / "enc" / UID / "ctl"))
            sock.send(json.dumps({"op": op, "v": 1}).encode())
            return json.loads(sock.recv(4096))

    def figures(self):
        return self.ask("dump")["stats"]

    def log(self):
        return (self.root / "stderr").read_text(errors="replace")

    def ends(self, timeout=20):
        return self.process.wait(timeout * SLOW)

    def close(self):
        """Gives a sanitizer's finding, "" if none."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10 * SLOW)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        text = self.log()
        shutil.rmtree(self.root, ignore_errors=True)
        at = min((text.find(mark) for mark in FAULT_MARKS if mark in text), default=-1)
        return text[max(0, at - 300):at + 5000] if at >= 0 else ""


class Sender:
    """ffmpeg that plays a clip in real time to somewhere."""

    def __init__(self, *arguments, media="plain.mp4", codecs=("-c", "copy"), loop=True):
        self.process = subprocess.Popen(
            ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-re",
             *(["-stream_loop", "-1"] if loop else []), "-i", str(made(media)), *codecs,
             *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=plain_environment())

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


def only_pictures(url):
    """A Reader of the picture alone: libavformat then takes RTP's own time stamps, without moving
    them when the first report about the sound's clock comes in."""
    reader = Reader.__new__(Reader)
    reader.pts, reader.arrived, reader.errors, reader.base = [], [], [], None
    reader.process = subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-analyzeduration", "500000",
         "-rtsp_transport", "tcp", "-allowed_media_types", "video", "-i", url, "-map", "0:v:0",
         "-fps_mode", "passthrough", "-enc_time_base", "-1", "-flush_packets", "1", "-f",
         "framecrc", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=plain_environment())
    reader.threads = [threading.Thread(target=run, daemon=True)
                      for run in (reader._frames, reader._errors)]
    for thread in reader.threads:
        thread.start()
    return reader


def steps(reader, first=0):
    pts = reader.pts[first:]
    return [b - a for a, b in zip(pts, pts[1:])]


def run_to_file(spec, output, seconds):
    """As fast as it can, into a file; gives exit code and stderr."""
    done = subprocess.run(
        [str(ENCODER), "run", "-", "--output", str(output), "--duration", str(seconds)],
        input=json.dumps({"name": "test", **spec}), capture_output=True, text=True,
        timeout=300 * SLOW, check=False)
    assert not any(mark in done.stderr for mark in FAULT_MARKS), done.stderr[-5000:]
    return done.returncode, done.stderr


def probe(target):
    done = subprocess.run([str(ENCODER), "probe", str(target)], capture_output=True, text=True,
                          timeout=60 * SLOW, check=False)
    return done.returncode, json.loads(done.stdout)


def streams(path):
    text = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)],
                          check=True, capture_output=True, text=True, timeout=60).stdout
    return json.loads(text)["streams"]


def frames(path, kind="v"):
    """(time, duration) of each decoded frame of the first such stream, and the frames' fields."""
    text = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", f"{kind}:0", "-show_frames", "-show_entries",
         "frame=pts_time,nb_samples,width,height,pict_type,interlaced_frame", "-of", "json",
         str(path)], check=True, capture_output=True, text=True, timeout=300).stdout
    return json.loads(text)["frames"]
