# SPDX-License-Identifier: GPL-2.0-or-later
"""Protocol x source kind x {copy, transcode}, each cell played by a real client that checks the
picture's frame counter and the sound's tone. A cell that does not play says why, and what it says
is what the client sees."""
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from browser import Pages, chromium
from camera import Camera, TsOverHttp, TsOverUdp, secrets
from clients import Viewer, judge_pattern, refused, watch
from coded import coded, judge_frames, judge_tone, tone
from harness import SLOW, run_cli, stream, wait
from publishers import Publisher

PASSWORD = "publish-secret-0123456789"
TONE = 1000  # of the test picture
COPY = {"copy": {}}
SMALL = {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}
FFMPEG = ("rtsp", "rtmp", "hls", "srt")
CELLS = (*FFMPEG, "webrtc", "hls in Chromium")
FULL, SILENT, NOT = "plays", "plays without sound", "does not play"

AAC = {cell: FULL for cell in CELLS} | {"webrtc": SILENT}  # H.264 and AAC as they are
ALL = {cell: FULL for cell in CELLS}                       # transcoded: Opus beside AAC
SILENT_HLS = {"hls": SILENT, "hls in Chromium": SILENT}
ODD = {  # file copies of other codecs: name → (video, audio, what is to be expected)
    "bframes": ("bframes", "aac", ALL | {"webrtc": NOT}),
    "mp3": ("h264", "mp3", ALL | SILENT_HLS | {"webrtc": SILENT}),
    "mp3at48": ("h264", "mp3at48", ALL | SILENT_HLS | {"webrtc": SILENT, "rtmp": NOT}),
    "opus": ("h264", "opus", ALL),
    "mute": ("h264", "none", {cell: SILENT for cell in CELLS}),
    "vp8": ("vp8", "opus", {cell: NOT for cell in CELLS} | {"rtsp": FULL, "webrtc": FULL}),
    "mpeg2": ("mpeg2", "mp3", {cell: NOT for cell in CELLS} | {"rtsp": FULL, "srt": FULL}),
}
# What the client cannot, though MediaMTX can: Debian 12's ffmpeg 5.1 knows no Opus in RTMP.
CLIENT = {("odd-opus", "rtmp"): SILENT}
CONTAINER = {"mp3": "mkv", "mp3at48": "mkv", "vp8": "webm", "mpeg2": "ts", "opus": "mkv"}


class Matrix:
    def __init__(self, world, stack):
        self.world = world
        self.clips = {}     # stream → number of its clip, None for the test picture
        self.expected = {}  # stream → {cell: FULL …}
        self.noise = {}     # stream → frames that may be missing
        cameras = {name: coded(i, f"coded-{i:02}.mp4")
                   for i, name in enumerate(("rtsp", "srt", "rtmp", "hls0"), 2)}
        camera = stack.enter_context(contextlib.closing(Camera(cameras)))
        http = stack.enter_context(contextlib.closing(TsOverHttp(coded(6, "coded-06.mp4"))))
        secrets(world, obs_key=PASSWORD, **camera.secrets_of())
        world.start()
        for how, encode in (("copy", COPY), ("transcode", SMALL)):
            self.add(f"file-{how}", 1, {"file": {"path": "coded-01.mp4"}}, encode)
            self.add(f"rtsp-{how}", 2, camera.rtsp("rtsp"), encode)
            for i, protocol in enumerate(("srt", "rtmp", "hls"), 3):
                self.add(f"pull-{protocol}-{how}", i,
                         camera.pull(protocol, "hls0" if protocol == "hls" else protocol), encode)
            self.add(f"pull-http-{how}", 6, {"pull": {"url": http.url}}, encode)
            number = 7 if how == "copy" else 8  # a UDP port has one listener
            udp = stack.enter_context(contextlib.closing(
                TsOverUdp(coded(number, f"coded-{number:02}.mp4"), world.ports.take())))
            self.add(f"pull-udp-{how}", number, {"pull": {"url": udp.url}}, encode, noise=2)
            number += 2
            self.add(f"publish-{how}", number, {"publish": {
                "username": "obs", "passwordRef": {"name": "obs-key"}}}, encode)
        for how, name in (("copy", "publish-copy"), ("transcode", "publish-transcode/ingest")):
            number = self.clips[f"publish-{how}"]
            stack.enter_context(contextlib.closing(self.publisher(name, number)))
        self.add("test-transcode", None, {"test": {"pattern": "counter", "size": "160x120",
                                                   "rate": 10, "tone": TONE}}, SMALL)
        for i, (name, (video, audio, expected)) in enumerate(ODD.items(), 20):
            file = coded(i, f"coded-{i}-{name}.{CONTAINER.get(name, 'mp4')}", video, audio)
            world.add_media(file.name, age=60)
            self.add(f"odd-{name}", i, {"file": {"path": file.name}}, COPY, expected)

    def publisher(self, name, number):
        """Starts once the path lets it in."""
        def come():
            one = Publisher(self.world, name, "rtmp", coded(number, f"coded-{number:02}.mp4"),
                            "obs", PASSWORD)
            return one if one.ended(3) is None else None
        return wait(come, f"{name} takes its publisher", 20)

    def add(self, name, number, source, encode, expected=None, noise=0):
        self.clips[name] = number
        self.expected[name] = expected or (AAC if encode is COPY else ALL)
        self.noise[name] = noise
        self.world.write(f"{name}.yaml", stream(name, source=source, encode=encode))

    def told(self, name, cell):
        """What the status says of a cell."""
        one = self.world.stream(name)["urls"][cell.split(" ")[0]]
        if not one["plays"]:
            return (NOT, one["why"])
        return (SILENT if "without sound" in one["why"] else FULL), one["why"]

    def hertz(self, name):
        return TONE if self.clips[name] is None else tone(self.clips[name])

    def wrong_words(self, name, cell):
        """The status against what is to be expected, its reason included."""
        how, why = self.told(name, cell)
        wanted = self.expected[name][cell]
        if self.clips[name] in silent_clips() and wanted == SILENT:
            return [] if how == FULL and not why else [f"told: {how} ({why})"]
        wrong = [] if how == wanted else [f"told: {how} ({why}), not: {wanted}"]
        if wanted != FULL and not why:
            wrong.append("no reason is given")
        return wrong

    def by_ffmpeg(self, name, cell):
        url = self.world.stream(name)["urls"][cell]["url"]
        wanted, number = CLIENT.get((name, cell), self.expected[name][cell]), self.clips[name]
        if wanted == NOT:
            got = refused(url, 8)
            return [got] if got else []
        hertz = self.hertz(name) if wanted == FULL else None
        if number is None:
            return judge_pattern(url, hertz, 160, 120, 10)
        slack = self.noise[name] + (1 if "transcode" in name else 0)
        return watch(url, number, hertz, timeout=25, lost=slack)

    def by_chromium(self, cell, found):
        """Complaints of one protocol's row of pages."""
        wrong = []
        for name, one in found.items():
            wanted, number = self.expected[name][cell], self.clips[name]
            if wanted == NOT:
                if len(one["frames"]) > 10:  # WebRTC begins before it sees that it cannot
                    wrong.append(f"{name} {cell}: shows {len(one['frames'])} frames")
                continue
            if len(one["frames"]) < 15:
                wrong.append(f"{name} {cell}: {len(one['frames'])} frames; {one['message']}")
                continue
            complaints = judge_tone(one["hertz"], self.hertz(name) if wanted == FULL else None)
            if number is not None:  # a browser may show a frame late or not at all
                complaints += judge_frames(one["frames"], number, most=3,
                                           lost=len(one["frames"]) // 8)
            wrong += [f"{name} {cell}: {text}" for text in complaints]
        return wrong


def by_browser(matrix, names):
    wrong = []
    with chromium() as driver:
        for cell, at_once in (("webrtc", 13), ("hls in Chromium", 7)):
            for i in range(0, len(names), at_once):
                wrong += watch_pages(driver, matrix, cell, names[i:i + at_once])
    return wrong


def watch_pages(driver, matrix, cell, names):
    protocol = cell.split(" ")[0]
    urls = {name: matrix.world.stream(name)["urls"][protocol]["url"].replace("index.m3u8", "")
            for name in names}
    pages = Pages(driver, {name: url.rstrip("/") + "/" for name, url in urls.items()})
    idle = {name for name in names if matrix.expected[name][cell] == NOT}
    silent = {name for name in names if matrix.expected[name][cell] == SILENT}
    found = pages.watch(16, silent | idle, timeout=25 * SLOW, idle=idle)
    return matrix.by_chromium(cell, found)


def silent_clips():
    return {i for i, (_, audio, _) in enumerate(ODD.values(), 20) if audio == "none"}


def test_every_cell(make_world):
    coded(1, "coded-01.mp4")
    world = make_world(media=("coded-01.mp4",))
    began, wrong = time.monotonic(), []
    with contextlib.ExitStack() as stack:
        matrix = Matrix(world, stack)
        names = list(matrix.clips)
        try:
            world.wait_settled(*names, timeout=30)
        except AssertionError as error:  # the rest is worth knowing all the same
            wrong.append(str(error))
        names = [name for name in names if world.ready(world.stream(name))]
        wrong += [f"{name} {cell}: {text}" for name in names for cell in CELLS
                  for text in matrix.wrong_words(name, cell)]
        with ThreadPoolExecutor(4 * (os.cpu_count() or 2) + 1) as pool:
            in_browser = pool.submit(by_browser, matrix, names)
            jobs = {(name, cell): pool.submit(matrix.by_ffmpeg, name, cell)
                    for cell in FFMPEG for name in names}
            for (name, cell), job in jobs.items():
                wrong += [f"{name} {cell}: {text}" for text in job.result()]
            wrong += in_browser.result()
        cells = len(jobs) + 2 * len(names)
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(wrong)
    assert cells == len(matrix.clips) * len(CELLS)
    print(f"{cells} cells in {time.monotonic() - began:.0f} s")


def test_the_cell_that_cannot_be(tmp_path):
    """A test picture has nothing to copy: the manifest is refused, with the reason."""
    file = tmp_path / "a.yaml"
    file.write_text(stream("a", source={"test": {}}, encode=COPY))
    done = run_cli("validate", file)
    assert done.returncode == 1 and "copy" in done.stdout + done.stderr


@pytest.mark.parametrize("protocol", FFMPEG[1:])
def test_protocol_that_is_off(make_world, protocol):
    """No address, and the reason."""
    world = make_world(protocols=tuple({"rtsp", *FFMPEG, "webrtc"} - {protocol})).start()
    world.add("show")
    world.wait_settled("show")
    one = world.stream("show")["urls"][protocol]
    assert not one["url"] and not one["plays"] and "off" in one["why"], one
    viewer = Viewer(world.url("show"), sound=False)
    try:
        assert viewer.watch(5, 0).seen >= 5
    finally:
        viewer.close()
