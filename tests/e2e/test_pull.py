# SPDX-License-Identifier: GPL-2.0-or-later
"""Cameras and other servers: every way to reach one, copied and transcoded, and its coming back."""
import contextlib
import time
from urllib.parse import quote

import pytest

from camera import PASSWORD, Camera, TsOverHttp, secrets
from clients import Viewer, watch, watch_all
from coded import coded, judge_frames, tone
from harness import SLOW, ident, stream, wait

SMALL = {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}
COPY = {"copy": {}}
WAYS = {"copy": COPY, "transcode": SMALL}  # streams of these names, side by side


@pytest.fixture
def cameras():
    """Makes cameras that end with the test."""
    with contextlib.ExitStack() as stack:
        def make(*args, **kwargs):
            return stack.enter_context(contextlib.closing(Camera(*args, **kwargs)))
        yield make


def clip(number=1):
    return coded(number, f"coded-{number:02}.mp4")


def start(make_world, camera, **settings):
    world = make_world(media=(), **settings)
    secrets(world, **camera.secrets_of())
    return world.start()


def reason(world, name):
    return world.condition(name, "Ready")["reason"]


def both(world, source):
    for name, encode in WAYS.items():
        world.write(f"{name}.yaml", stream(name, source=source, encode=encode))
    world.wait_settled(*WAYS, timeout=20)


def plays(world, number, **judging):
    """Both ways, at once."""
    assert watch_all({name: ((world.url(name), number, tone(number)), {"most": 2, **judging})
                      for name in WAYS}) == {}


def readers(camera):
    return [one for one in camera.sessions() if one["state"] == "read"]


def test_camera_by_tcp_and_udp(make_world, cameras):
    camera = cameras({"one": clip(1), "two": clip(2)})
    world = start(make_world, camera)
    for name, encode in WAYS.items():
        world.write(f"udp-{name}.yaml", stream(f"udp-{name}", encode=encode,
                                               source=camera.rtsp("two", transport="udp")))
    both(world, camera.rtsp("one"))
    world.wait_settled(*(f"udp-{name}" for name in WAYS), timeout=20)
    plays(world, 1)
    assert watch_all({name: ((world.url(f"udp-{name}"), 2, tone(2)), {"most": 2, "lost": 2})
                      for name in WAYS}) == {}
    for path, wanted in {"one": "TCP", "two": "UDP"}.items():
        used = [one["transport"] for one in readers(camera) if one["path"] == path]
        assert used == [wanted] * 2, (path, used)
    assert not world.stream("copy")["encoder"]["pid"], "MediaMTX pulls what is copied"
    assert world.stream("transcode")["encoder"]["pid"]


def test_one_connection_to_the_camera(make_world, cameras):
    """However many watch: a camera serves few."""
    camera = cameras({"one": clip(1)})
    world = start(make_world, camera)
    both(world, camera.rtsp("one"))
    viewers = [Viewer(world.url(name), sound=False) for name in WAYS for _ in range(2)]
    try:
        for viewer in viewers:
            viewer.watch(5, 0)
        assert len(readers(camera)) == len(WAYS), readers(camera)
    finally:
        for viewer in viewers:
            viewer.close()


def test_camera_that_starts_on_demand(make_world, cameras):
    camera = cameras({"lazy": clip(4)}, on_demand=["lazy"])
    world = start(make_world, camera)
    both(world, camera.rtsp("lazy"))
    plays(world, 4)


def test_camera_off_and_on(make_world, cameras):
    """Off for a while, then on: the picture is back by itself, nobody restarted anything."""
    camera = cameras({"one": clip(1)})
    world = start(make_world, camera)
    both(world, camera.rtsp("one"))
    encoder = world.encoder("transcode")
    camera.stop()
    for name in WAYS:
        wait(lambda n=name: reason(world, n) == "SourceUnreachable", "its loss is seen", 20)
    camera.start()
    back = time.monotonic()
    world.wait_settled(*WAYS, timeout=10)
    took = time.monotonic() - back
    plays(world, 1)
    assert took <= 6 * SLOW, f"back after {took:.1f} s"
    assert world.encoder("transcode") == encoder
    assert all(world.stream(name)["encoder"]["restarts"] == 0 for name in WAYS)


def test_daemon_killed_and_started(make_world, cameras):
    """The camera's viewers lose no frame, nor when the manifest is written anew."""
    camera = cameras({"one": clip(1)})
    world = start(make_world, camera)
    both(world, camera.rtsp("one"))
    viewers = {name: Viewer(world.url(name), sound=False) for name in WAYS}
    try:
        for viewer in viewers.values():
            viewer.watch(10, 0)
        world.kill()
        for viewer in viewers.values():
            viewer.watch(viewer.seen + 10, 0)
        world.start()
        for name, encode in WAYS.items():
            world.write(f"{name}.yaml", "# comment\n" + stream(
                name, source=camera.rtsp("one"), encode=encode))
        world.wait_settled(*WAYS)
        for viewer in viewers.values():
            viewer.watch(viewer.seen + 15, 0)
    finally:
        for viewer in viewers.values():
            viewer.close()
    assert judge_frames(viewers["copy"].frames, 1) == []
    assert judge_frames(viewers["transcode"].frames, 1, most=2) == []


def test_other_path_of_the_camera(make_world, cameras):
    camera = cameras({"one": clip(1), "two": clip(2)})
    world = start(make_world, camera)
    both(world, camera.rtsp("one"))
    both(world, camera.rtsp("two"))
    for name in WAYS:
        wait(lambda n=name: not watch(world.url(n), 2, tone(2), most=2, timeout=6),
             "the other path's picture", 20)
    world.wait_settled(*WAYS)
    assert sorted(one["path"] for one in readers(camera)) == ["two", "two"]


def test_from_copy_to_transcode_and_back(make_world, cameras):
    """The carrier changes: MediaMTX pulls, then our encoder, then MediaMTX again."""
    camera = cameras({"one": clip(1)})
    world = start(make_world, camera)
    for encode in (COPY, SMALL, COPY):
        world.write("cam.yaml", stream("cam", source=camera.rtsp("one"), encode=encode))
        wait(lambda: bool(world.stream("cam")["encoder"]["pid"]) == (encode is SMALL)
             and world.ready(world.stream("cam")), "carried the other way", 25)
        assert watch(world.url("cam"), 1, tone(1), most=2) == []
    assert len(readers(camera)) == 1


def test_removed_stream_leaves_the_camera(make_world, cameras):
    camera = cameras({"one": clip(1), "two": clip(2)})
    world = start(make_world, camera)
    world.write("a.yaml", stream("a", source=camera.rtsp("one"), encode=COPY))
    world.write("b.yaml", stream("b", source=camera.rtsp("two"), encode=SMALL))
    world.add_media("clip.mp4", age=60)
    world.add("c", "d", "e", "f")
    world.wait_settled(timeout=20)
    world.remove("a.yaml")
    world.remove("b.yaml")
    wait(lambda: not readers(camera), "the camera is left alone", 15)
    wait(lambda: {one["name"] for one in world.status()["streams"]} == {"c", "d", "e", "f"},
         "they are gone")


@pytest.mark.parametrize("user", ["", "viewer"])
def test_mpegts_over_http(make_world, user):
    """With copy too our encoder carries it: MediaMTX cannot pull that."""
    with contextlib.closing(TsOverHttp(clip(5), user or None, PASSWORD)) as server:
        world = make_world(media=())
        secrets(world, cam_pass=PASSWORD)
        world.start()
        pull = {"url": server.url}
        if user:
            pull.update(username=user, passwordRef={"name": "cam-pass"})
        world.write("ts.yaml", stream("ts", source={"pull": pull}, encode=COPY))
        world.wait_settled("ts", timeout=20)
        assert watch(world.url("ts"), 5, tone(5)) == []
        assert ident(world.stream("ts")["encoder"]["pid"])


def test_no_secret_of_a_camera_is_told(make_world, cameras):
    """Only MediaMTX's file may hold it."""
    camera = cameras({"one": clip(1)}, empty=["none"])
    world = start(make_world, camera)
    world.write("a.yaml", stream("a", source=camera.rtsp("one"), encode=COPY))
    world.write("b.yaml", stream("b", source=camera.rtsp("one"), encode=SMALL))
    world.write("c.yaml", stream("c", source=camera.rtsp("none"), encode=COPY))
    world.write("d.yaml", stream("d", source=camera.rtsp("none"), encode=SMALL))
    world.wait_settled("a", "b", timeout=20)
    wait(lambda: all("NotFound" in world.reasons(name) for name in "cd"), "c and d fail", 20)
    forms = [PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD)]
    text = world.all_logs() + world.get("/").text
    for page in ("/api/v1/status", "/metrics", "/api/v1/desired", "/streams/a", "/streams/c"):
        text += world.get(page).text
    for pid in world.ours():
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/{name}", errors="replace") as file:
                    text += file.read()
    for path in [*world.run.rglob("*"), *world.state.rglob("*")]:
        if path.is_file() and path.name != "mediamtx.yml":
            with contextlib.suppress(OSError):
                text += path.read_bytes().decode(errors="replace")
    for form in forms:
        assert form not in text, text[text.find(form) - 200:text.find(form)]
    for path in world.state.rglob("mediamtx.yml"):
        assert path.stat().st_mode & 0o007 == 0
