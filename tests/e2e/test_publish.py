# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishers: with credentials, by allowed protocols, one at a time; how they come and go."""
import base64
import contextlib
import hashlib
import signal
import time

import psutil
import pytest

from camera import secrets
from clients import Viewer, watch, watch_all
from coded import coded, judge_frames, tone
from harness import SLOW, stream, wait
from publishers import FFMPEG_PROTOCOLS, Publisher

USER, PASSWORD = "obs", "publish-secret-0123456789"
SMALL = {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}


def publish(*protocols, name="obs-key", user=USER):
    spec = {"username": user, "passwordRef": {"name": name}}
    if protocols:
        spec["protocols"] = list(protocols)
    return {"publish": spec}


def manifest(name, encode=None, source=None):
    return stream(name, source=source or publish(), encode=encode or {"copy": {}})


def reason(world, name):
    return world.condition(name, "Ready")["reason"]


def awaits(world, *names, timeout=10):
    """Nobody publishes, and that is a settled state."""
    for name in names:
        wait(lambda n=name: reason(world, n) == "AwaitingPublisher" and world.stream(n)["settled"],
             f"{name} awaits its publisher", timeout)


@pytest.fixture
def stage(make_world):
    """A World with its secret, and a way to publish that ends with the test."""
    world = make_world(media=())
    secrets(world, obs_key=PASSWORD)
    world.start()
    with contextlib.ExitStack() as stack:
        def come(name, protocol="rtsp", clip=1, user=USER, password=PASSWORD):
            one = Publisher(world, name, protocol, coded(clip, f"coded-{clip:02}.mp4"), user,
                            password)
            stack.callback(one.close)
            return one
        world.publish = come
        yield world


def test_each_protocol_comes_and_goes(stage):
    each_protocol(stage)
    publishers = {name: stage.publish(name, name, clip=i + 1)
                  for i, name in enumerate(FFMPEG_PROTOCOLS)}
    stage.wait_settled(*FFMPEG_PROTOCOLS, timeout=15)
    assert watch_all({name: ((stage.url(name), i + 1, tone(i + 1)), {})
                      for i, name in enumerate(FFMPEG_PROTOCOLS)}) == {}
    for name in FFMPEG_PROTOCOLS:
        assert not stage.stream(name)["encoder"]["pid"], "no encoder is needed for that"
    for one in publishers.values():
        one.signal(signal.SIGINT)
    awaits(stage, *FFMPEG_PROTOCOLS)


def each_protocol(stage, **kwargs):
    """A stream a protocol, named after it, that awaits its publisher."""
    for name in FFMPEG_PROTOCOLS:
        stage.write(f"{name}.yaml", manifest(name, **kwargs))
    awaits(stage, *FFMPEG_PROTOCOLS)
    return FFMPEG_PROTOCOLS


def test_second_publisher_is_refused(stage):
    names = each_protocol(stage)
    first = {name: stage.publish(name, name, clip=1) for name in names}
    stage.wait_settled(*names)
    viewers = {name: Viewer(stage.url(name), sound=False) for name in names}
    try:
        for viewer in viewers.values():
            viewer.watch(10, 0)
        second = {name: stage.publish(name, name, clip=2) for name in names}
        for name, one in second.items():
            assert one.ended(15 * SLOW) is not None, f"the second one over {name} is let in"
        for viewer in viewers.values():
            viewer.watch(viewer.seen + 20, 0)
    finally:
        for viewer in viewers.values():
            viewer.close()
    for name in names:
        assert first[name].alive()
        assert judge_frames(viewers[name].frames, 1) == [], name


def test_same_publisher_wins_over_its_silent_self(stage):
    """A laptop that lost its network and is back: its old session is still open, and silent."""
    names = each_protocol(stage)
    first = {name: stage.publish(name, name, clip=1) for name in names}
    stage.wait_settled(*names)
    for one in first.values():
        one.signal(signal.SIGSTOP)
    began = time.monotonic()
    again, left = {}, set(names)
    while left:  # as OBS Studio does: again and again
        for name in left:
            again[name] = stage.publish(name, name, clip=2)
        end = time.monotonic() + 4  # RTMP takes 2 s to be let in, or not
        left = {name for name in left
                if again[name].ended(max(0.1, end - time.monotonic())) is not None}
        assert time.monotonic() - began < 18 * SLOW or not left, f"{left}: the old one stays"
    stage.wait_settled(*names)
    assert watch_all({name: ((stage.url(name), 2, tone(2)), {}) for name in names}) == {}
    assert all(one.alive() for one in again.values())


def test_wrong_password_is_refused(stage):
    names = each_protocol(stage)
    tries = [stage.publish(name, name, **login) for name in names
             for login in ({"password": "wrong-password"}, {"user": "", "password": ""})]
    for one in tries:
        assert one.ended(15 * SLOW) is not None, "it was let in"
    awaits(stage, *names, timeout=1)
    for name in names:
        stage.publish(name, name)
    stage.wait_settled(*names)


def test_password_of_another_stream_is_refused(stage):
    secrets(stage, other_key="another-secret-0123456789")
    stage.write("live.yaml", manifest("live"))
    stage.write("other.yaml", manifest("other", source=publish(name="other-key")))
    awaits(stage, "live", "other")
    one = stage.publish("other")
    assert one.ended(15 * SLOW) is not None
    one = stage.publish("live/deeper")
    assert one.ended(15 * SLOW) is not None, "a path that no manifest asks for"
    assert reason(stage, "other") == "AwaitingPublisher"


def test_protocol_that_is_not_allowed(stage):
    pairs = {"rtmp": "rtsp", "rtsp": "srt", "srt": "rtmp"}  # allowed: used
    for allowed in pairs:
        stage.write(f"{allowed}.yaml", manifest(allowed, source=publish(allowed)))
    awaits(stage, *pairs)
    wrong = {used: stage.publish(allowed, used) for allowed, used in pairs.items()}
    for used, one in wrong.items():
        assert one.ended(12 * SLOW) is not None, f"{used} is still connected"
    awaits(stage, *pairs)
    for allowed in pairs:
        stage.publish(allowed, allowed)
    stage.wait_settled(*pairs)


def test_transcode_goes_through_ingest(stage):
    stage.write("live.yaml", manifest("live", encode=SMALL))
    awaits(stage, "live")
    wrong = stage.publish("live")
    assert wrong.ended(15 * SLOW) is not None, "NAME is the encoder's"
    right = stage.publish("live/ingest", clip=3)
    stage.wait_settled("live", timeout=20)
    assert watch(stage.url("live"), 3, tone(3), most=2) == []
    assert stage.stream("live")["encoder"]["pid"]
    right.close()
    awaits(stage, "live", timeout=15)
    stage.publish("live/ingest", "rtmp", clip=3)
    stage.wait_settled("live", timeout=20)
    assert watch(stage.url("live"), 3, tone(3), most=2) == []


def test_rotated_password(stage):
    stage.write("live.yaml", manifest("live"))
    awaits(stage, "live")
    secrets(stage, obs_key="rotated-secret-0123456789")

    def new_one_works():
        one = stage.publish("live", password="rotated-secret-0123456789")
        return one if one.ended(4) is None else None  # to be refused takes 2 s
    one = wait(new_one_works, "the new password is taken", 25)
    stage.wait_settled("live")
    one.close()
    awaits(stage, "live")
    old = stage.publish("live")
    assert old.ended(15 * SLOW) is not None, "the old password is still good"


def test_secret_missing(stage):
    stage.write("live.yaml", manifest("live", source=publish(name="late-key")))
    wait(lambda: reason(stage, "live") == "SecretMissing", "SecretMissing")
    assert "late-key" in stage.condition("live", "Resolved")["message"]
    one = stage.publish("live", password="")
    assert one.ended(15 * SLOW) is not None, "an empty password must never do"
    secrets(stage, late_key=PASSWORD)
    awaits(stage, "live", timeout=25)
    stage.publish("live")
    stage.wait_settled("live")


def test_publisher_is_not_disturbed(stage):
    """White space, another stream, a change of another's password, the daemon's death: nothing."""
    stage.write("live.yaml", manifest("live"))
    awaits(stage, "live")
    one = stage.publish("live")
    stage.wait_settled("live")
    viewer = Viewer(stage.url("live"), sound=False)
    try:
        viewer.watch(5, 0)
        stage.write("live.yaml", "# a comment\n" + manifest("live"))
        secrets(stage, other_key="another-secret-0123456789")
        stage.write("other.yaml", manifest("other", source=publish(name="other-key")))
        awaits(stage, "other")
        stage.kill()
        viewer.watch(viewer.seen + 10, 0)
        stage.start()
        stage.wait_settled("live")
        viewer.watch(viewer.seen + 10, 0)
    finally:
        viewer.close()
    assert one.alive()
    assert judge_frames(viewer.frames, 1) == []


def test_no_secret_is_told(stage):
    """Not in logs, status, records, state or arguments; MediaMTX's file has its hash at most."""
    stage.write("live.yaml", manifest("live", encode=SMALL))
    awaits(stage, "live")
    stage.publish("live/ingest")
    stage.wait_settled("live", timeout=20)
    bad = stage.publish("live/ingest", password="wrong-password")
    bad.ended(15 * SLOW)
    internal = (stage.state / "internal-user").read_text().strip()
    forms = [form for secret in (PASSWORD, internal)
             for form in (secret, base64.b64encode(secret.encode()).decode())]
    text = stage.all_logs() + stage.get("/api/v1/status").text + stage.get("/metrics").text
    text += stage.get("/").text + stage.get("/streams/live").text
    text += "".join(" ".join(psutil.Process(pid).cmdline()) for pid in stage.ours())
    for path in [*stage.run.rglob("*"), *stage.state.rglob("*")]:
        if path.is_file() and path.name not in ("internal-user", "digest-key"):
            with contextlib.suppress(OSError):
                text += path.read_bytes().decode(errors="replace")
    for form in forms:
        assert form not in text, form[:4] + "…"
    assert hashlib.sha256(PASSWORD.encode()).hexdigest() not in text
    assert reason(stage, "live") == "Flowing"
