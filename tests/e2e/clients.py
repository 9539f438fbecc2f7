# SPDX-License-Identifier: GPL-2.0-or-later
"""Viewers that check what they get: ffmpeg on RTSP, RTMP, HLS and SRT (Chromium: browser.py)."""
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from coded import (COLUMNS, FRAME, ROWS, SOUND_RATE, as_samples, judge_frames, judge_tone, loudest,
                   number)
from harness import SLOW, plain_environment

FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "info", "-nostdin", "-nostats", "-threads", "1"]
BEFORE_INPUT = {"rtsp": ["-rtsp_transport", "tcp", "-timeout", "15000000", "-analyzeduration",
                         "700000"],
                "rtmp": ["-rw_timeout", "15000000"], "hls": ["-rw_timeout", "15000000"],
                "http": ["-rw_timeout", "15000000"], "srt": ["-timeout", "15000000"]}


class Viewer:
    """ffmpeg on a URL: numbers of the frames (or the frames, at `size`) and the sound's samples."""

    def __init__(self, url, sound=True, size=(COLUMNS, ROWS), stream=None):
        self.url, self.size = url, size
        self.frames, self.pictures, self.sound = [], [], bytearray()
        self.messages = []
        self.bytes = size[0] * size[1]
        scheme = "hls" if ".m3u8" in url else url.split(":")[0]
        audio, write = os.pipe() if sound else (None, None)
        command = [*FFMPEG, "-fflags", "nobuffer", "-analyzeduration", "1500000",
                   *BEFORE_INPUT.get(scheme, []), "-i", url,
                   "-map", stream or "0:v:0", "-fps_mode", "passthrough", "-vf",
                   f"scale={size[0]}:{size[1]}:flags=area,format=gray", "-f", "rawvideo",
                   "-flush_packets", "1", "pipe:1"]
        if sound:
            command += ["-map", "0:a:0", "-ac", "1", "-ar", str(SOUND_RATE), "-f", "s16le",
                        "-flush_packets", "1", f"pipe:{write}"]
        self.began = time.monotonic()
        self.first = None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        pass_fds=[write] if sound else [],
                                        env=plain_environment())
        self.threads = [threading.Thread(target=self._pictures, daemon=True),
                        threading.Thread(target=self._messages, daemon=True)]
        if sound:
            os.close(write)
            self.threads.append(threading.Thread(target=self._sound, args=(audio,), daemon=True))
        for thread in self.threads:
            thread.start()

    def _pictures(self):
        while True:
            data = self.process.stdout.read(self.bytes)
            if len(data) < self.bytes:
                return
            self.first = self.first or time.monotonic()
            if self.bytes == FRAME:
                self.frames.append(number(data))
            else:
                self.pictures.append(data)

    def _sound(self, fd):
        with os.fdopen(fd, "rb", buffering=0) as pipe:
            while data := pipe.read(4096):
                self.sound += data

    def _messages(self):
        for line in self.process.stderr:
            self.messages.append(line.decode(errors="replace").rstrip())

    @property
    def seen(self):
        return len(self.frames) or len(self.pictures)

    def alive(self):
        return self.process.poll() is None

    def watch(self, frames=20, sound=0.5, timeout=20):
        """Until so many frames and seconds of sound are there, it ends, or time is up."""
        end = time.monotonic() + timeout * SLOW
        while time.monotonic() < end and self.alive():
            if self.seen >= frames and len(self.sound) >= sound * SOUND_RATE * 2:
                break
            time.sleep(0.02)
        return self

    def tracks(self):
        """Kinds and codecs of the input, as ffmpeg tells them: [("Video", "h264"), …]."""
        found = []
        for line in self.messages:
            if line.startswith("Output #"):
                break
            match = re.match(r"\s+Stream #0:\d.*?: (Video|Audio): (\w+)", line)
            if match:
                found.append((match[1], match[2]))
        return found

    def heard(self, skip=0.1):
        return loudest(as_samples(bytes(self.sound[int(skip * SOUND_RATE) * 2:]))[:SOUND_RATE])

    def close(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
        return self

    def last_words(self):
        return [line for line in self.messages
                if re.search(r"rror|refused|not found|[Ff]ail|Invalid|timed out|404|401|400", line)
                ][-3:]


def watch(url, clip, hertz, frames=14, timeout=20, **judging):
    """One cell with ffmpeg: complaints about what was seen and heard; hertz None: no sound."""
    viewer = Viewer(url, sound=hertz is not None)
    try:
        viewer.watch(frames, 0.5 if hertz else 0, timeout)
    finally:
        viewer.close()
    if viewer.seen < frames:
        return [f"{viewer.seen} frames in {timeout} s; {viewer.last_words()}"]
    wrong = judge_frames(viewer.frames, clip, **judging)
    if hertz is not None:
        wrong += judge_tone(viewer.heard(), hertz)
    elif any(kind == "Audio" for kind, _ in viewer.tracks()):
        wrong.append(f"has sound: {viewer.tracks()}")
    return wrong


def watch_all(cells):
    """Several at once: name → (arguments, keywords) of `watch`. Gives name → complaints, if any."""
    with ThreadPoolExecutor(len(cells)) as pool:
        jobs = {name: pool.submit(watch, *args, **kwargs) for name, (args, kwargs) in cells.items()}
    return {name: job.result() for name, job in jobs.items() if job.result()}


def refused(url, timeout=10):
    """A client that must get no picture: None, or what it got. Quick when it is told so."""
    viewer = Viewer(url, sound=False)
    try:
        viewer.watch(1, 0, timeout)
    finally:
        viewer.close()
    return f"got {viewer.seen} frames" if viewer.seen else None


# --- the test picture "counter" (libavfilter's testsrc2) ------------------------------------------
def distance(a, b):
    return sum(abs(x - y) for x, y in zip(a, b))


def judge_pattern(url, hertz, width, height, rate, small=(20, 15), seconds=240):
    """Finds what a viewer sees in a local rendering of the same pattern: in order, none missing."""
    viewer = Viewer(url, sound=True, size=small)
    try:
        viewer.watch(15, 0.6, 25)
    finally:
        viewer.close()
    if len(viewer.pictures) < 15:
        return [f"{len(viewer.pictures)} frames; {viewer.last_words()}"]
    size = small[0] * small[1]
    raw = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i",
         f"testsrc2=size={width}x{height}:rate={rate}", "-t", str(seconds), "-vf",
         f"format=yuv420p,scale={small[0]}:{small[1]}:flags=area,format=gray", "-f", "rawvideo",
         "-"], stdout=subprocess.PIPE, check=True, env=plain_environment()).stdout
    drawn = [raw[i:i + size] for i in range(0, len(raw), size)]
    first = min(range(len(drawn) - 20), key=lambda i: distance(drawn[i], viewer.pictures[0]))
    numbers = [first]
    for picture in viewer.pictures[1:15]:
        at = numbers[-1]
        numbers.append(min(range(max(0, at - 3), at + 6),
                           key=lambda i: distance(drawn[i], picture)))
    wrong = judge_tone(viewer.heard(), hertz)
    if numbers != list(range(first, first + 15)):
        wrong.append(f"frames in the order {numbers}")
    return wrong
