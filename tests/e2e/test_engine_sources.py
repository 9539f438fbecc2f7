# SPDX-License-Identifier: GPL-2.0-or-later
"""What MediaMTX pulls and who publishes, as the engine observes it; and ending a session."""
import os
import signal
import subprocess

import pytest

from driven import H264, Camera, Driven, driver, path
from harness import Ports, holds, wait

SECRETS = ("pass-word", "pass%2Dword", "wrong%40word", "wrong@word")


@pytest.fixture(name="drive")
def fixture_drive(tmp_path):
    made = []
    program = driver()

    def begin(**kwargs):
        made.append(Driven(program, tmp_path, **kwargs))
        return made[-1]
    yield begin
    for one in made:
        one.close()


@pytest.fixture(name="camera")
def fixture_camera(tmp_path):
    ports = Ports()
    camera = Camera(tmp_path / "camera", ports)
    yield camera
    camera.close()
    ports.close()


def test_pull_is_written_once_and_comes_back(drive, camera):
    d = drive()
    camera.on("one")
    d.want(path("p/tcp", camera.url("one"), transport="tcp"),
           path("p/auto", camera.url("one")),
           path("p/always", camera.url("one"), transport="tcp", always=True, tracks=[
               {"codec": "H264"},
               {"codec": "MPEG4Audio", "sampleRate": 48000, "channels": 2}]))
    d.until(lambda now: all(now["paths"][n]["available"] and now["paths"][n]["online"]
                            for n in ("p/tcp", "p/auto", "p/always")), "all three are pulled")
    d.settled()
    lines = d.log.read_text().count("mediamtx path set")
    assert d.path("p/tcp")["type"] == "rtspSource"
    assert d.path("p/tcp")["tracks"] == d.path("p/always")["tracks"]
    assert [(t["codec"], t.get("sampleRate", 0), t.get("channels", 0))
            for t in d.path("p/tcp")["tracks"]] == [("H264", 0, 0), ("MPEG4Audio", 48000, 2)]
    assert d.config("p/tcp")["rtspTransport"] == "tcp" and not d.config("p/tcp")["sourceOnDemand"]
    camera.off("one")
    took = d.until(lambda now: not now["paths"]["p/tcp"]["available"]
                   and not now["paths"]["p/always"]["online"], "the loss is seen", 25)
    print(f"loss seen after {took:.2f} s")
    d.until(lambda now: now["paths"]["p/tcp"]["error"], "and why")
    camera.on("one")
    d.until(lambda now: now["paths"]["p/tcp"]["available"]
            and now["paths"]["p/always"]["online"], "it is back")
    d.until(lambda now: not now["paths"]["p/tcp"]["error"], "the error is cleared")
    assert d.log.read_text().count("mediamtx path set") == lines, "nothing was written again"
    assert all(secret not in d.log.read_text() for secret in SECRETS)


def test_every_kind_of_pull_is_taken(drive):
    d = drive()
    urls = ["rtsp://127.0.0.1:1/a", "rtsps://u:p%40x@127.0.0.1:1/a?b=c", "rtmp://127.0.0.1:1/a/b",
            "rtmps://127.0.0.1:1/a", "http://127.0.0.1:1/x/index.m3u8",
            "https://u:p@127.0.0.1:1/x.m3u8?t=1", "srt://127.0.0.1:1?streamid=read:x&passphrase=0123456789",
            f"udp+mpegts://127.0.0.1:{d.ports.take()}", f"udp://127.0.0.1:{d.ports.take()}",
            "rtsp://[::1]:1/a"]
    d.want(*[path(f"k{i}", url, transport="udp") for i, url in enumerate(urls)])
    d.settled()
    lines = d.log.read_text().count("mediamtx file written")
    d.until(lambda now: all(now["paths"][f"k{i}"]["error"] for i in range(6)), "each tells", 25)
    print([d.path(f"k{i}")["error"] for i in range(len(urls))])
    assert d.log.read_text().count("mediamtx file written") == lines
    d.want(path("bad", "rtsp://u:se cret@127.0.0.1/"), path("k0", urls[0], transport="udp"),
           removed=[f"k{i}" for i in range(1, len(urls))])
    d.until(lambda now: now["rejected"] == "bad", "a bad one never reaches MediaMTX")
    assert "se cret" not in d.now["why"] + d.log.read_text()
    d.until(lambda now: now["settled"], "the others go on")


def test_why_a_source_fails(drive, camera):
    d = drive()
    camera.on("one", audio=False)
    d.want(path("refused", "rtsp://127.0.0.1:1/x"), path("absent", camera.url("two")),
           path("denied", camera.url("one", "cam:wrong%40word@")),
           path("mine", camera.url("one"), always=True, tracks=[
               {"codec": "H264"}, {"codec": "MPEG4Audio", "sampleRate": 48000, "channels": 2}]),
           path("fine", camera.url("one")), path("waiting"))
    d.until(lambda now: all(now["paths"][n]["error"] for n in
                            ("refused", "absent", "denied", "mine"))
            and now["paths"]["fine"]["available"], "each tells", 25)
    assert "connection refused" in d.path("refused")["error"]
    assert "404" in d.path("absent")["error"]
    assert "401" in d.path("denied")["error"]
    assert "wants to publish" in d.path("mine")["error"]
    assert not d.path("fine")["error"] and not d.path("waiting")["error"]
    assert all(s not in str(d.now["paths"]) + d.log.read_text() for s in SECRETS)
    # The log is cut in place: what is known stays, and what comes is seen.
    log = d.dir / "log/mediamtx.log"
    before = d.path("refused")["error"]
    with open(log, "a", encoding="utf-8") as more:
        line = "2026/01/01 00:00:00 INF [path waiting] nothing to see here\n"
        more.write(line * ((17 << 20) // len(line)))
    d.until(lambda now: log.stat().st_size < 1 << 20, "the log is cut")
    assert d.path("refused")["error"] == before and not d.path("fine")["error"]
    camera.off("one")
    d.until(lambda now: now["paths"]["fine"]["error"], "a later one is seen", 25)


def test_who_publishes_and_reads(drive):
    d = drive()
    d.want(path("cam"), path("obs", override=False))
    d.settled()
    publisher = d.publish("cam")
    d.until(lambda now: now["paths"]["cam"]["online"] and now["paths"]["cam"]["tracks"],
            "it is published")
    cam = d.path("cam")
    assert cam["type"] == "rtspSession" and len(cam["id"]) == 36
    assert [t["codec"] for t in cam["tracks"]] == ["H264", "MPEG4Audio"]
    reader = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i",
                               d.url("cam"), "-f", "null", "-"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    d.children.append(reader)
    d.until(lambda now: now["paths"]["cam"]["readersBy"] == [1, 0, 0, 0, 0], "it is read")
    moved = d.path("cam")["inMoved"]
    d.until(lambda now: now["paths"]["cam"]["inMoved"] > moved, "it moves")
    os.kill(publisher.pid, signal.SIGSTOP)
    stands = []

    def silent():
        stands.append(d.path("cam")["inMoved"])
        return len(stands) > 160 and len(set(stands[-150:])) == 1
    wait(silent, "it stands", 8, interval=0.02)
    os.kill(publisher.pid, signal.SIGCONT)
    d.until(lambda now: now["paths"]["cam"]["inMoved"] > stands[-1], "it moves again")


def test_kick(drive):
    d = drive()
    d.want(path("obs", override=False))
    d.settled()
    publisher = d.publish("obs", audio=False)
    d.until(lambda now: now["paths"]["obs"]["id"], "it is published")
    seen = d.path("obs")
    kick = {"path": "obs", "type": seen["type"], "id": seen["id"]}
    for _ in range(3):
        d.say(kick=kick)
    wait(lambda: publisher.poll() is not None, "the publisher's session ends")
    took = d.until(lambda now: not now["paths"]["obs"]["online"], "and is seen")
    assert took < 1.5
    d.say(kick={"path": "obs", "type": "rtspSource", "id": seen["id"]})
    d.say(kick={"path": "obs", "type": "rtspSession", "id": "../x"})
    d.say(kick={**kick, "id": "00000000-0000-4000-8000-000000000000"})
    wait(lambda: d.log.read_text().count("mediamtx session kicked") == 2, "once an id")
    again = d.publish("obs", audio=False)
    d.until(lambda now: now["paths"]["obs"]["online"], "another may come")
    holds(lambda: again.poll() is None, "and stays", 1)


def test_facts_of_an_offline_picture_are_declared(drive):
    d = drive()
    d.want(path("cam", always=True, tracks=H264))
    d.settled()
    d.until(lambda now: now["paths"]["cam"]["available"] and not now["paths"]["cam"]["online"],
            "nobody publishes")
    assert [t["codec"] for t in d.path("cam")["tracks"]] == ["H264"] and not d.path("cam")["type"]
