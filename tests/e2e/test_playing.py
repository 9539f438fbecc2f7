# SPDX-License-Identifier: GPL-2.0-or-later
"""What a viewer gets over RTSP: frames without gaps, in a loop's seam too."""
import json
import subprocess

import pytest

from harness import SLOW, plain_environment, wait


def probe(url):
    text = subprocess.run(
        ["ffprobe", "-hide_banner", "-loglevel", "error", "-rtsp_transport", "tcp",
         "-show_streams", "-of", "json", url], check=True, capture_output=True, text=True,
        timeout=30, env=plain_environment()).stdout
    return json.loads(text)["streams"]


@pytest.mark.parametrize("media", ["clip.mp4", "bframes.mp4"])
def test_file_copy_loops_without_a_gap(make_world, media):
    world = make_world(media=[media]).start()
    world.add("show", source={"file": {"path": media}})
    world.wait_settled("show")
    reader = world.reader("show").more(240, timeout=30)  # 9.6 s: two seams of a 4 s clip
    assert reader.max_step(2) <= 1.5 / 25, reader.max_step(2)
    assert reader.min_step(2) > 0, "time goes forward"
    tracks = probe(world.url("show"))
    assert [track["codec_name"] for track in tracks] == ["h264", "aac"]
    assert (tracks[0]["width"], tracks[0]["height"]) == (320, 180)
    assert wait(lambda: world.stream("show")["engine"]["readers"] == 1, "the viewer is counted")


def test_test_pattern(world):
    world.add("bars", source={"test": {"pattern": "smpte", "size": "320x180", "rate": 30,
                                       "tone": 440}})
    world.wait_settled("bars")
    reader = world.reader("bars").more(60, timeout=30)
    if SLOW == 1:
        assert reader.max_step(2) <= 1.5 / 30, reader.max_step(2)
    tracks = probe(world.url("bars"))
    assert tracks[0]["codec_name"] == "h264" and tracks[0]["width"] == 320
    assert {"aac", "opus"} == {track["codec_name"] for track in tracks[1:]}


def test_transcode(world):
    world.add("small", encode={"transcode": {
        "video": {"size": "160x90", "rate": 12.5, "bitrate": "150k", "preset": "ultrafast"},
        "audio": {"codec": "aac", "channels": 1, "webrtc": "none"}}})
    world.wait_settled("small")
    reader = world.reader("small").more(75, timeout=30)  # 6 s: one seam
    if SLOW == 1:
        assert reader.max_step(2) <= 1.5 / 12.5, reader.max_step(2)
    tracks = probe(world.url("small"))
    assert (tracks[0]["width"], tracks[0]["height"]) == (160, 90)
    assert tracks[1]["codec_name"] == "aac" and tracks[1]["channels"] == 1
    assert len(tracks) == 2


def test_addresses_of_all_protocols(world):
    world.add("show")
    world.wait_settled("show")
    urls = world.stream("show")["urls"]
    assert set(urls) == {"rtsp", "rtmp", "hls", "webrtc", "srt"}
    for name in urls:
        assert str(world.port[name]) in json.dumps(urls[name]), (name, urls[name])


def test_figures_of_a_running_stream(world):
    world.add("show")
    world.wait_settled("show")
    reader = world.reader("show").more(50)

    def figures():
        one = world.stream("show")
        return (24 <= one["encoder"]["fps"] <= 26 and 0.9 <= one["encoder"]["speed"] <= 1.1
                and one["encoder"]["bitrate"] > 50000 and one["engine"]["inboundBytes"] > 0
                and one["engine"]["outboundBytes"] > 0)
    wait(figures, "frames a second, speed, bitrate and bytes", 20)
    assert reader.alive()
