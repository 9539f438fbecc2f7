# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium publishes over WHIP and watches over WebRTC: the counter and the tone go all the way."""
import subprocess

import pytest

from browser import Pages, chromium, publish, publishing, stop_publishing
from camera import secrets
from clients import watch
from coded import coded, judge_frames, judge_tone, tone
from harness import SLOW, plain_environment, stream, wait

USER, PASSWORD = "obs", "publish-secret-0123456789"
SOURCE = {"publish": {"username": USER, "passwordRef": {"name": "obs-key"}}}
SMALL = {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}
CLIP = 30


@pytest.fixture(scope="module")
def sitter(tmp_path_factory):
    """What the browser's camera sees and its microphone hears."""
    folder = tmp_path_factory.mktemp("sitter")
    clip = coded(CLIP, "coded-sitter.mp4")
    picture, sound = folder / "picture.y4m", folder / "sound.wav"
    for output in ((["-an", "-pix_fmt", "yuv420p", str(picture)]), (["-vn", str(sound)])):
        subprocess.run(["ffmpeg", "-loglevel", "error", "-nostdin", "-i", str(clip), *output],
                       check=True, env=plain_environment())
    return [f"--use-file-for-fake-video-capture={picture}",
            f"--use-file-for-fake-audio-capture={sound}"]


@pytest.fixture
def stage(make_world):
    world = make_world(media=())
    secrets(world, obs_key=PASSWORD)
    return world.start()


def come(driver, world, name, password=PASSWORD):
    """Publishes the browser's camera as NAME, from a page of MediaMTX's (that of its readers)."""
    page = f"http://127.0.0.1:{world.port['webrtc']}/{name}"
    return publish(driver, page + "/", page + "/whip", USER, password)


def reason(world, name):
    return world.condition(name, "Ready")["reason"]


@pytest.mark.parametrize("how", ["copy", "transcode"])
def test_whip(stage, sitter, how):
    encode = {"copy": {"copy": {}}, "transcode": SMALL}[how]
    stage.write("live.yaml", stream("live", source=SOURCE, encode=encode))
    wait(lambda: reason(stage, "live") == "AwaitingPublisher", "AwaitingPublisher")
    where = "live" if how == "copy" else "live/ingest"
    with chromium(*sitter) as there, chromium() as here:
        refused = come(there, stage, where, "wrong")
        assert refused["status"] == 401, refused
        done = come(there, stage, where)
        assert done["status"] == 201, done
        wait(lambda: publishing(there) == "connected", "WebRTC connects", 15)
        stage.wait_settled("live", timeout=20)
        urls = stage.stream("live")["urls"]
        found = Pages(here, {"live": urls["webrtc"]["url"].rstrip("/") + "/"}).watch(
            20, timeout=25 * SLOW)["live"]
        assert judge_frames(found["frames"], CLIP, most=4, lost=5) == []
        assert judge_tone(found["hertz"], tone(CLIP)) == []
        assert urls["webrtc"]["plays"] and not urls["webrtc"]["why"], urls["webrtc"]
        assert watch(urls["rtsp"]["url"], CLIP, tone(CLIP), most=4, lost=5) == []
        for name in ("rtmp", "hls", "srt"):  # VP8, or H.264: what is told is what is seen
            if urls[name]["plays"] and not urls[name]["why"]:
                assert watch(urls[name]["url"], CLIP, tone(CLIP), most=4, lost=5,
                             timeout=25) == [], name
            else:
                assert urls[name]["why"] and how == "copy", (name, urls[name])
        stop_publishing(there)
        wait(lambda: reason(stage, "live") == "AwaitingPublisher", "it is gone", 20)


def test_whip_beside_a_publisher_is_refused(stage, sitter):
    """The first one stays, whoever comes; where WHIP is not allowed it is ended."""
    stage.write("live.yaml", stream("live", source=SOURCE))
    only = {"publish": {**SOURCE["publish"], "protocols": ["rtmp"]}}
    stage.write("rtmp.yaml", stream("rtmp", source=only))
    wait(lambda: reason(stage, "rtmp") == reason(stage, "live") == "AwaitingPublisher",
         "AwaitingPublisher")
    with chromium(*sitter) as first, chromium() as second:
        for driver, name in ((first, "live"), (second, "rtmp")):
            done = come(driver, stage, name)
            assert done["status"] == 201 or name == "rtmp", done
        stage.wait_settled("live", timeout=20)
        wait(lambda: publishing(second) in ("failed", "disconnected", "closed")
             or not stage.paths()["rtmp"]["source"], "WHIP is not let in", 20)
        assert reason(stage, "rtmp") == "AwaitingPublisher"
        done = come(second, stage, "live")
        if done["status"] == 201:  # MediaMTX asks for the path once WebRTC is connected
            wait(lambda: publishing(second) in ("failed", "disconnected", "closed"),
                 "the second publisher is ended", 25)
        assert publishing(first) == "connected"
        assert watch(stage.url("live"), CLIP, tone(CLIP), most=4, lost=5) == []
