# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources in the network: each protocol plays, each failure has its reason, none ends the encoder,
and time goes on over all of it. The camera is a MediaMTX with users and passwords."""
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from media import SLOW, UID, made, probe, steps, wait

PASSWORD = "secret-word"
VIEWER = {"user": "viewer", "pass": PASSWORD, "ips": [], "permissions": [{"action": "read"}]}
LIVE = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-bf", "0",
        "-c:a", "copy")
SILENCE = 3000
BACK = 2.0  # s; the camera's own start (its next keyframe, half a second) comes on top


class Camera:
    def __init__(self, make, media="plain.mp4", **more):
        self.make = make
        self.media = media
        self.server = make.server(users=[VIEWER], protocols=("rtsp", "rtmp", "hls", "srt"),
                                  transports=("tcp", "udp"), **more)
        self.sends()

    def sends(self, media=None):
        self.sender = self.make.sender("-f", "rtsp", "-rtsp_transport", "tcp",
                                       self.server.url("cam"), codecs=LIVE,
                                       media=media or self.media)
        wait(lambda: self.server.path("cam")["ready"], "the camera has a picture", 15)
        return time.monotonic()

    def net(self, protocol, **more):
        """What the encoder's spec says of it."""
        net = {"url": self.server.url("cam", protocol.split("-")[0]), "silence": SILENCE * SLOW,
               "username": "viewer", "password": PASSWORD}
        if protocol == "rtsp-udp":
            net["transport"] = "udp"
        if protocol == "srt":
            net = {"url": f"srt://127.0.0.1:{self.server.port['srt']}", "silence": SILENCE * SLOW,
                   "streamId": f"read:cam:viewer:{PASSWORD}"}
        return {**net, **more}

    def off(self):
        self.server.stop(kill=True)
        self.sender.close()

    def on(self):
        self.server.start()
        return self.sends()


def spec(net, out, mode="copy"):
    return {"source": "net", "mode": mode, "net": net, "publish": {"url": out},
            "video": {"preset": "ultrafast"}, "audio": {"codec": "aac"}}


def hls_is_there(camera):
    code, _ = probe(camera.server.url("cam", "hls").replace("://", f"://viewer:{PASSWORD}@"))
    return code == 0


def arrived_after(reader, moment):
    return next((when for when in reader.arrived if when > moment), None)


PROTOCOLS = ["rtsp-tcp", "rtsp-udp", "rtmp", "srt", "hls"]


@pytest.mark.parametrize("mode", ["copy", "transcode"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plays(make, protocol, mode):
    camera, server = Camera(make), make.server()
    if protocol == "hls":
        wait(lambda: hls_is_there(camera), "a playlist", 20)
    encoder = make.encoder(spec(camera.net(protocol), server.url("out"), mode))
    facts = encoder.live()["facts"]
    assert [one["codec"] for one in facts] == ["H264", "MPEG4Audio"]
    reader = make.pictures(server.url("out")).more(75, timeout=30)
    assert max(steps(reader)) < 0.06 and min(steps(reader)) > 0
    assert PASSWORD not in encoder.log()
    assert PASSWORD not in json.dumps(encoder.record())
    assert PASSWORD.encode() not in (encoder.root / "enc" / UID / "log").read_bytes()


class Streaming(http.server.BaseHTTPRequestHandler):
    """MPEG-TS over HTTP, paced roughly; / sends somebody elsewhere."""
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path == "/playlist.m3u8":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:3\n"
                             b"#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:4.0,\nfile://"
                             + str(made("clip.ts")).encode() + b"\n")
            return
        if self.path == "/film.mp4":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(made("plain.mp4").read_bytes())
            return
        self.send_response(200)
        self.end_headers()
        data = made("clip.ts").read_bytes()
        piece = len(data) // 40
        try:
            for _ in range(10):
                for at in range(0, len(data), piece):
                    self.wfile.write(data[at:at + piece])
                    time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Streaming)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("mode", ["copy", "transcode"])
def test_mpegts_over_http(make, web, mode):
    """Its clock jumps back at each round of the file: taken out."""
    server = make.server()
    encoder = make.encoder(spec({"url": f"{web}/cam.ts"}, server.url("out"), mode))
    encoder.live()
    reader = make.pictures(server.url("out")).more(150, timeout=40)
    assert min(steps(reader)) > 0 and max(steps(reader)) < 0.15
    assert encoder.record()["state"] == "Live"


def test_mpegts_over_udp(make):
    server = make.server()
    port = server.ports.take()
    make.sender("-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316", codecs=LIVE)
    encoder = make.encoder(spec({"url": f"udp://127.0.0.1:{port}"}, server.url("out")))
    encoder.live()
    reader = make.pictures(server.url("out")).more(75, timeout=30)
    assert min(steps(reader)) > 0 and max(steps(reader)) < 0.06


@pytest.mark.parametrize("path,words", [
    ("/playlist.m3u8", ""), ("/away", ""), ("/film.mp4", "a file belongs into source.file")])
def test_nobody_reaches_our_files(make, web, path, words):
    encoder = make.encoder(spec({"url": web + path}, "rtsp://127.0.0.1:1/x"))
    record = wait(lambda: encoder.record()["reason"] and encoder.record(), "a reason", 20)
    assert record["reason"] in ("NotMedia", "SourceUnreachable", "NoFrames"), record
    assert words in record["message"] and record["facts"] == [], record
    assert encoder.process.poll() is None


WRONG = {
    "rtsp-password": ("rtsp", {"password": "nonsense"}, "SourceAuthFailed", "401"),
    "rtmp-password": ("rtmp", {"password": "nonsense"}, "SourceAuthFailed", "refuses"),
    "hls-password": ("hls", {"password": "nonsense"}, "SourceAuthFailed", "refuses"),
    "srt-password": ("srt", {"streamId": "read:cam:viewer:nonsense"}, "SourceAuthFailed",
                     "SRT does not say which"),
    "rtsp-path": ("rtsp", {"path": "nothing"}, "SourceNotFound", "404"),
    "hls-path": ("hls", {"path": "nothing"}, "SourceNotFound", "correct the path"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_credentials_and_paths(make, case):
    protocol, change, reason, words = WRONG[case]
    camera = Camera(make)
    net = camera.net(protocol)
    if "path" in change:
        net["url"] = net["url"].replace("/cam", "/" + change["path"])
    else:
        net |= change
    encoder = make.encoder(spec(net, "rtsp://127.0.0.1:1/x"))
    record = encoder.wait("Starting", reason, timeout=20)
    assert words in record["message"], record["message"]
    assert "nonsense" not in encoder.log() and PASSWORD not in encoder.log()
    assert encoder.process.poll() is None, "it lives and tries again"


UNREACHABLE = {
    "refused": ("rtsp://127.0.0.1:1/x", "Connection refused"),
    "refused-http": ("http://127.0.0.1:1/x.m3u8", "Connection refused"),
    "nobody": ("srt://127.0.0.1:1", "nobody answers"),
    "no-name": ("rtsp://no-such-host.invalid/x", "the name no-such-host.invalid cannot be resolved"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_unreachable(make, case):
    url, words = UNREACHABLE[case]
    encoder = make.encoder(spec({"url": url}, "rtsp://127.0.0.1:1/x"))
    record = encoder.wait("Starting", "SourceUnreachable", timeout=20)
    assert words in record["message"], record["message"]


def test_connects_and_says_nothing(make):
    """A port that takes connections and never answers: orders are heard, life is shown."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        encoder = make.encoder(spec({"url": f"rtsp://127.0.0.1:{deaf.getsockname()[1]}/x"},
                                    "rtsp://127.0.0.1:1/x"))
        wait(lambda: encoder.record()["state"] == "Starting", "it starts")
        loops = encoder.figures()["loops"]
        wait(lambda: encoder.figures()["loops"] >= loops + 3, "its life is seen", 8)
        record = encoder.wait("Starting", "SourceUnreachable", timeout=25)
        assert "does not answer" in record["message"]
        begun = time.monotonic()
        encoder.process.send_signal(signal.SIGTERM)
        assert encoder.ends() == 0
        assert time.monotonic() - begun < 1.5 * SLOW


@pytest.mark.parametrize("mode", ["copy", "transcode"])
@pytest.mark.parametrize("protocol", ["rtsp-tcp", "rtmp", "srt"])
def test_a_short_outage_keeps_the_viewers(make, protocol, mode):
    camera, server = Camera(make), make.server()
    net = camera.net(protocol, silence=8000 * SLOW)
    encoder = make.encoder(spec(net, server.url("out"), mode))
    encoder.live()
    reader = make.pictures(server.url("out")).more(50)
    camera.off()
    back = camera.on()
    seen = wait(lambda: arrived_after(reader, back), "a picture again", 20)
    assert seen - back < (BACK + 0.6) * SLOW, seen - back
    reader.more(50)
    assert min(steps(reader)) > 0, "time goes forward"
    assert reader.alive() and encoder.record()["state"] == "Live"
    assert encoder.figures()["reconnects"] == 0, "MediaMTX saw one publisher"
    # what was missed is missed: the time stamps say how long it took
    gone = max(b - a for a, b in zip(reader.arrived[30:], reader.arrived[31:]))
    assert abs(max(steps(reader)) - gone) < 0.5 * SLOW


@pytest.mark.parametrize("protocol", ["rtsp-tcp", "rtmp", "srt"])
def test_a_long_outage_closes_the_publisher(make, protocol):
    camera, server = Camera(make), make.server()
    encoder = make.encoder(spec(camera.net(protocol), server.url("out")))
    encoder.live()
    camera.off()
    begun = time.monotonic()
    encoder.wait("Silent", "SourceUnreachable")
    assert time.monotonic() - begun < (SILENCE / 1000 + 1) * SLOW
    wait(lambda: not _has(server, "out"), "MediaMTX lost the publisher", 3)
    back = camera.on()
    encoder.live()
    assert time.monotonic() - back < (BACK + 0.6) * SLOW
    assert encoder.process.poll() is None


def _has(server, name):
    try:
        return server.path(name)["ready"]
    except OSError:
        return False


def test_a_frozen_camera_is_silent(make):
    camera, server = Camera(make), make.server()
    encoder = make.encoder(spec(camera.net("rtsp-tcp"), server.url("out")))
    encoder.live()
    media = encoder.figures()["mediaMs"]
    camera.server.signal(signal.SIGSTOP)
    begun = time.monotonic()
    encoder.wait("Silent")
    assert time.monotonic() - begun < (SILENCE / 1000 + 1) * SLOW
    loops = encoder.figures()["loops"]
    wait(lambda: encoder.figures()["loops"] >= loops + 2, "it lives on", 5)
    camera.server.signal(signal.SIGCONT)
    encoder.live()
    wait(lambda: encoder.figures()["mediaMs"] > media + 1000, "time went on", 10)


def test_connected_without_frames(make):
    """The camera answers, its picture has stopped."""
    camera, server = Camera(make), make.server()
    encoder = make.encoder(spec(camera.net("rtsp-tcp"), server.url("out")))
    encoder.live()
    camera.sender.process.send_signal(signal.SIGSTOP)
    record = encoder.wait("Silent", "NoFrames", timeout=20)
    assert "no frames" in record["message"]
    camera.sender.process.send_signal(signal.SIGCONT)
    encoder.live(30)


@pytest.mark.parametrize("mode", ["copy", "transcode"])
def test_a_camera_that_comes_back_with_another_picture(make, mode):
    camera, server = Camera(make), make.server()
    encoder = make.encoder(spec(camera.net("rtsp-tcp", silence=20000), server.url("out"), mode))
    encoder.live()
    camera.off()
    camera.server.start()
    camera.sends("short.mp4")  # 160x120
    if mode == "copy":
        wait(lambda: "160x120" in _size(server), "the new picture", 20)
        assert "SourceChanged" in encoder.log()
    else: # the size is the one that was published, the new shape is fitted into it
        shown = encoder.figures()["frames"]
        wait(lambda: encoder.figures()["frames"] > shown + 50, "pictures again", 20)
        assert _size(server) == "160x120"
    encoder.live()


def _size(server):
    return subprocess.run(
        ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-select_streams", "v",
         "-show_entries", "stream=width,height", "-of", "csv=p=0:s=x", server.url("out")],
        capture_output=True, text=True, timeout=20, check=False).stdout.strip()


class Sink:
    """An RTSP server that takes publishers, reads what they send, or reads nothing for a while."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.url = f"rtsp://127.0.0.1:{self.listener.getsockname()[1]}/x"
        self.reading = threading.Event()
        self.reading.set()
        self.recorded = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        data = b""
        with peer:
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        data += peer.recv(4096)
                    head, data = data.split(b"\r\n\r\n", 1)
                    length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
                    while len(data) < length:
                        data += peer.recv(4096)
                    data = data[length:]
                    number = re.search(rb"CSeq: (\d+)", head).group(1)
                    peer.sendall(b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\nSession: 1\r\n\r\n")
                    if head.startswith(b"RECORD"):
                        break
                self.recorded += 1
                while self.reading.wait() and peer.recv(65536):
                    pass
            except OSError:
                pass

    def close(self):
        self.reading.set()
        self.listener.close()
        return ""


def test_a_server_that_takes_nothing_costs_frames_not_time(make):
    """What waits for it is bounded in seconds; then it is a server that is gone."""
    camera = Camera(make, media="loud.mp4")
    sink = Sink()
    make.things.append(sink)
    encoder = make.encoder(spec(camera.net("rtsp-tcp", silence=20000), sink.url))
    encoder.live()
    sink.reading.clear()
    wait(lambda: "dropping up to a keyframe" in encoder.log(), "frames are dropped", 15)
    record = encoder.wait("Connecting", "EngineUnreachable", timeout=15)
    assert "lost" in record["message"], record
    sink.reading.set()
    encoder.live()
    begun = encoder.figures()["frames"]
    wait(lambda: encoder.figures()["frames"] > begun + 50, "frames go on", 10)
    assert sink.recorded >= 2 and encoder.figures()["reconnects"] >= 1


def test_the_source_alone_decides_the_pace(make):
    """No clock of ours drops or repeats: each frame that came in goes out, once."""
    camera, server = Camera(make), make.server()
    encoder = make.encoder(spec(camera.net("rtsp-tcp"), server.url("out")))
    encoder.live()
    reader = make.pictures(server.url("out")).more(150, timeout=30)
    steps = [b - a for a, b in zip(reader.pts[10:], reader.pts[11:])]
    usual = sorted(steps)[len(steps) // 2]
    assert max(steps) < 1.5 * usual and min(steps) > 0.5 * usual, "none dropped, none made up"
    assert encoder.figures()["dropped"] < 60, "only what came before the first keyframe"


def test_probe_of_a_camera(make):
    camera = Camera(make)
    code, told = probe(camera.server.url("cam").replace("://", f"://viewer:{PASSWORD}@"))
    assert code == 0 and told["copy"] is True, told
    assert [one["codec"] for one in told["streams"]] == ["h264", "aac"]
    assert PASSWORD not in json.dumps(told)
    code, told = probe(camera.server.url("cam").replace("://", "://viewer:nonsense@"))
    assert (code, told["reason"]) == (3, "SourceAuthFailed")
