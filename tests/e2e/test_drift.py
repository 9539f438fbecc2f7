# SPDX-License-Identifier: GPL-2.0-or-later
"""The table drift → action → bound of docs/operations.md, on both planes: one test a row."""
import contextlib
import ctypes
import os
import signal
import time

import pytest

from camera import Camera, secrets
from clients import Viewer, watch
from coded import coded, judge_frames, tone
from harness import NODE, SLOW, holds, ident, stream, wait
from proxy import Proxy
from publishers import Publisher

CLIP = "coded-01.mp4"
FILE = {"file": {"path": CLIP}}
SMALL = {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}
PASSWORD = "publish-secret-0123456789"


def started(make_world, **settings):
    coded(1, CLIP)
    world = make_world(media=(CLIP,), timing={"drift": "1s"}, **settings)
    secrets(world, obs_key=PASSWORD)
    return world.start()


def pair(world):
    """A stream to be disturbed and one that must not notice."""
    world.add("cam", "beside", source=FILE)
    world.wait_settled("cam", "beside")
    return world.encoder("cam"), world.encoder("beside")


def healed(world, began, bound, beside=None, name="cam", clip=1):
    """Ready again, and really playing, within the bound; the neighbour as it was."""
    world.wait_settled(name, timeout=bound)
    took = time.monotonic() - began
    assert took <= bound * SLOW, f"healed after {took:.1f} s, bound {bound} s"
    assert watch(world.url(name), clip, tone(clip), most=2) == []
    if beside:
        assert world.encoder("beside") == beside, "its neighbour was touched"


# --- encoders -------------------------------------------------------------------------------------
def test_encoder_killed(make_world):
    world = started(make_world)
    cam, beside = pair(world)
    began = time.monotonic()
    os.kill(cam[0], signal.SIGKILL)
    wait(lambda: world.encoder("cam") not in (None, cam), "another one runs", 5)
    healed(world, began, 5, beside)
    assert world.stream("cam")["encoder"]["restarts"] == 1


def test_encoder_stopped(make_world):
    """SIGSTOP: its loop stands for 5 s, then it is killed and replaced."""
    world = started(make_world)
    cam, beside = pair(world)
    began = time.monotonic()
    os.kill(cam[0], signal.SIGSTOP)
    wait(lambda: "EncoderStuck" in world.reasons("cam") or world.encoder("cam") != cam,
         "it is found stuck", 10)
    wait(lambda: world.encoder("cam") not in (None, cam), "another one runs", 12)
    assert ident(cam[0]) != cam, "the stopped one is gone"
    assert time.monotonic() - began >= 4, "not before its time"
    healed(world, began, 14, beside)


@contextlib.contextmanager
def held(pid):
    """Holds a process in mid-step, by ptrace: running to the eye, yet it does nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach = 0x4206, 0x4207, 17
    if libc.ptrace(seize, pid, None, None) != 0:
        pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
    libc.ptrace(interrupt, pid, None, None)
    try:
        yield
    finally:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        libc.ptrace(detach, pid, None, None)


def test_encoder_stuck(make_world):
    world = started(make_world)
    cam, beside = pair(world)
    began = time.monotonic()
    with held(cam[0]):
        wait(lambda: world.encoder("cam") not in (None, cam), "another one runs", 14)
    healed(world, began, 16, beside)


def test_encoder_of_an_old_spec(make_world):
    """The manifest changed while no daemon ran: what runs is not what is wanted."""
    world = started(make_world)
    cam, beside = pair(world)
    world.kill()
    world.write("cam.yaml", stream("cam", source=FILE, restartToken="other"))
    began = time.monotonic()
    world.start()
    wait(lambda: world.encoder("cam") not in (None, cam), "the wanted one runs", 8)
    healed(world, began, 10, beside)
    assert ident(cam[0]) != cam, "the old one is gone"


def test_encoder_nobody_wants(make_world):
    """The stream was removed while no daemon ran, two others stay."""
    world = started(make_world)
    cam, beside = pair(world)
    world.add("third", "fourth", source=FILE)
    world.wait_settled("third", "fourth")
    world.kill()
    world.remove("cam.yaml")
    world.start()
    wait(lambda: ident(cam[0]) != cam, "it is ended", 10)
    wait(lambda: "cam" not in world.paths(), "its path is gone", 10)
    assert world.encoder("beside") == beside


# --- publishers -----------------------------------------------------------------------------------
def stranger(world, name, user="", password=""):
    return Publisher(world, name, "rtsp", coded(2, "coded-02.mp4"), user, password)


def test_stranger_without_a_password(make_world):
    world = started(make_world)
    cam, beside = pair(world)
    viewer = Viewer(world.url("cam"), sound=False)
    try:
        viewer.watch(5, 0)
        with contextlib.closing(stranger(world, "cam")) as other:
            assert other.ended(12 * SLOW) is not None, "it was let in"
        viewer.watch(viewer.seen + 10, 0)
    finally:
        viewer.close()
    assert judge_frames(viewer.frames, 1) == []
    assert (world.encoder("cam"), world.encoder("beside")) == (cam, beside)


def test_stranger_who_knows_the_inner_password(make_world):
    """It takes the path; our encoder takes it back, and no restart is counted."""
    world = started(make_world)
    cam, beside = pair(world)
    secret = (world.state / "internal-user").read_text().strip()
    began = time.monotonic()
    with contextlib.closing(stranger(world, "cam", f"sluice-{NODE}", secret)) as other:
        assert other.ended(12 * SLOW) is not None, "it still publishes"
        healed(world, began, 15, beside)
    assert world.encoder("cam") == cam


# --- paths ----------------------------------------------------------------------------------------
KINDS = ("file", "pull", "publish")


@pytest.fixture
def kinds(make_world):
    """Gives a World and adds a stream `cam` of a kind that is Ready; ends what feeds it."""
    with contextlib.ExitStack() as stack:
        def make(kind):
            world = started(make_world)
            if kind == "pull":
                camera = stack.enter_context(contextlib.closing(
                    Camera({"one": coded(1, CLIP)})))
                secrets(world, **camera.secrets_of())
                world.write("cam.yaml", stream("cam", source=camera.rtsp("one")))
            elif kind == "publish":
                world.write("cam.yaml", stream("cam", source={"publish": {
                    "username": "obs", "passwordRef": {"name": "obs-key"}}}))
                wait(lambda: "AwaitingPublisher" in world.reasons("cam"), "its path is there")
                publish(world, stack)
            else:
                world.add("cam", source=FILE)
            world.add("beside", source=FILE)
            world.wait_settled("cam", "beside", timeout=20)
            return world, (lambda: publish(world, stack)) if kind == "publish" else None
        yield make


def publish(world, stack):
    def come():
        one = Publisher(world, "cam", "rtsp", coded(1, CLIP), "obs", PASSWORD)
        stack.callback(one.close)
        return one if one.ended(3) is None else None
    return wait(come, "the publisher is let in", 15)


@pytest.mark.parametrize("kind", KINDS)
def test_path_deleted(kinds, kind):
    world, again = kinds(kind)
    beside = world.encoder("beside")
    began = time.monotonic()
    world.api("/v3/config/paths/delete/cam", "DELETE").raise_for_status()
    wait(lambda: "cam" in world.configured(), "its configuration is back", 6)
    if again:
        again()
    healed(world, began, 12, beside)


PATCHES = {"file": {"overridePublisher": False, "maxReaders": 1},
           "pull": {"source": "rtsp://127.0.0.1:9/nothing"},
           "publish": {"overridePublisher": True}}


@pytest.mark.parametrize("kind", KINDS)
def test_path_patched(kinds, kind):
    world, again = kinds(kind)
    beside = world.encoder("beside")
    before = world.api("/v3/config/paths/get/cam").json()
    began = time.monotonic()
    world.api("/v3/config/paths/patch/cam", "PATCH", json=PATCHES[kind]).raise_for_status()
    wait(lambda: world.api("/v3/config/paths/get/cam").json() == before, "it is as it was", 6)
    if again:
        again()
    healed(world, began, 12, beside)


def test_path_added_by_hand(make_world):
    """Not ours: shown, and left alone until the next write of the file, whose reload forgets what
    only the API knows."""
    world = started(make_world)
    cam, beside = pair(world)
    wait(lambda: "sluice-gen-2" in [one["user"] for one in users(world)],
         "ours are in MediaMTX's file, and it has read that", 10)
    world.api("/v3/config/paths/add/theirs", "POST", json={"source": "publisher"}
              ).raise_for_status()
    wait(lambda: "theirs" in str(world.status()["foreignPaths"]), "it is shown", 10)
    holds(lambda: "theirs" in world.configured(), "it is left alone", 2.5)
    world.add("new", source=FILE)
    wait(lambda: "theirs" not in world.configured() and not world.status()["foreignPaths"],
         "it is gone with the next file write", 10)
    assert (world.encoder("cam"), world.encoder("beside")) == (cam, beside)


# --- users ----------------------------------------------------------------------------------------
def users(world):
    return world.api("/v3/config/global/get").json()["authInternalUsers"]


def names(world):
    return sorted(one["user"] for one in users(world) if not one["user"].startswith("sluice-gen-"))


def test_users_changed(make_world):
    """A publisher's right is taken away by hand, and another's is added: both are put right."""
    world = started(make_world)
    cam, beside = pair(world)
    world.write("live.yaml", stream("live", source={"publish": {
        "username": "obs", "passwordRef": {"name": "obs-key"}}}))
    wait(lambda: "AwaitingPublisher" in world.reasons("live"), "live awaits its publisher")
    before = wait(lambda: "obs" in names(world) and names(world), "its user is there")
    secret = (world.state / "internal-user").read_text().strip()
    inner = [{"action": action} for action in ("publish", "read", "playback", "api")]
    world.api("/v3/config/global/patch", "PATCH", json={"authInternalUsers": [
        {"user": f"sluice-{NODE}", "pass": secret, "permissions": inner},
        {"user": "any", "pass": "", "permissions": [{"action": "publish"}, {"action": "read"}]},
    ]}).raise_for_status()
    wait(lambda: names(world) == before, "the users are as they were", 8)
    with contextlib.closing(stranger(world, "live")) as other:
        assert other.ended(12 * SLOW) is not None, "anybody may publish"
    with contextlib.closing(Publisher(world, "live", "rtsp", coded(2, "coded-02.mp4"), "obs",
                                      PASSWORD)):
        world.wait_settled("live", timeout=10)
    assert (world.encoder("cam"), world.encoder("beside")) == (cam, beside)


def test_our_own_user_removed(make_world):
    """We are locked out of the API: the file still says who we are."""
    world = started(make_world)
    cam, _ = pair(world)
    world.api("/v3/config/global/patch", "PATCH", json={"authInternalUsers": [
        {"user": "any", "pass": "", "permissions": [{"action": "read"}]}]}).raise_for_status()
    began = time.monotonic()
    wait(lambda: world.api("/v3/paths/list").status_code == 200, "we are let in again", 25)
    healed(world, began, 30)
    assert world.encoder("cam") == cam


# --- MediaMTX as a whole --------------------------------------------------------------------------
def test_mediamtx_restarted(make_world):
    world = started(make_world)
    cam, beside = pair(world)
    before = world.mediamtx()
    began = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    wait(lambda: world.mediamtx() not in (None, before), "it runs again", 5)
    healed(world, began, 8, beside)
    assert world.encoder("cam") == cam, "encoders reconnect by themselves"


def test_mediamtx_hangs(make_world):
    """What it holds is unknown, never absent: nothing is deleted, nothing restarted; when it is
    replaced or comes to itself all is well."""
    world = started(make_world)
    pair(world)
    before = world.mediamtx()
    os.kill(before[0], signal.SIGSTOP)
    wait(lambda: "EngineUnreachable" in world.reasons("cam")
         or world.mediamtx() not in (None, before), "it is told", 25)
    assert {one["name"] for one in world.status()["streams"]} == {"cam", "beside"}
    if ident(before[0]) == before:
        os.kill(before[0], signal.SIGCONT)
    began = time.monotonic()
    healed(world, began, 20)
    assert world.status()["summary"]["heldDeletes"] == 0


@pytest.fixture
def proxied(make_world):
    """A World whose API calls pass through a proxy that can misbehave."""
    coded(1, CLIP)
    world = make_world(media=(CLIP,), timing={"drift": "1s"})
    with contextlib.closing(Proxy(world.port["api"])) as proxy:
        world.settings["mediamtx"]["api"] = proxy.url
        world.write_settings()
        yield world.start(), proxy


def test_mediamtx_answers_500(proxied):
    world, proxy = proxied
    cam, beside = pair(world)
    viewer = Viewer(world.url("cam"), sound=False)
    try:
        viewer.watch(5, 0)
        proxy.spoil(".", status=500)
        wait(lambda: world.condition("cam", "Programmed")["status"] == "Unknown"
             or "500" in world.reasons("cam"), "it is told", 15)
        world.add("late", source=FILE)
        wait(lambda: world.stream("late"), "the manifest is read all the same")
        holds(lambda: (world.encoder("cam"), world.encoder("beside")) == (cam, beside),
              "nothing is touched", 2)
        proxy.lift()
        began = time.monotonic()
        world.wait_settled("cam", "beside", "late", timeout=15)
        assert time.monotonic() - began < 15 * SLOW
        viewer.watch(viewer.seen + 5, 0)
    finally:
        viewer.close()
    assert judge_frames(viewer.frames, 1) == []


def test_half_of_the_api_is_stuck(proxied):
    """Lists answer, configuration calls hang: what plays goes on, the page lives, and what was to
    be done is done once they answer again."""
    world, proxy = proxied
    cam, beside = pair(world)
    proxy.spoil("/v3/config/", hang=True)
    world.add("late", source=FILE)
    wait(lambda: world.stream("late"), "the manifest is read all the same")
    holds(lambda: world.get("/livez").status_code == 200
          and (world.encoder("cam"), world.encoder("beside")) == (cam, beside),
          "it lives and touches nothing", 5)
    assert watch(world.url("cam"), 1, tone(1)) == []
    proxy.lift()
    began = time.monotonic()
    world.wait_settled("cam", "beside", "late", timeout=25)
    assert time.monotonic() - began < 25 * SLOW
    assert (world.encoder("cam"), world.encoder("beside")) == (cam, beside)
