# SPDX-License-Identifier: GPL-2.0-or-later
"""`sluice probe`: what a source holds, where it plays and why not, and a manifest that passes."""
import json
import os

import pytest
import yaml

from camera import PASSWORD, USER, Camera
from harness import clip, run_cli


@pytest.fixture(scope="module")
def camera():
    camera = Camera({"yard": clip("bframes.mp4")}, empty=("dark",))
    yield camera
    camera.close()


def secret(tmp_path, text, name="cam-pass"):
    path = tmp_path / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def probe(*arguments):
    done = run_cli("probe", "-o", "json", *arguments, timeout=40)
    return done, json.loads(done.stdout) if done.stdout else None


def valid(manifest, tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text(manifest)
    done = run_cli("validate", path)
    assert done.returncode == 0, done
    return yaml.safe_load(manifest)


def test_file_under_the_media_directory(tmp_path):
    media = tmp_path / "media"
    (media / "promos").mkdir(parents=True)
    (media / "promos" / "summer.mp4").write_bytes(clip("clip.mp4").read_bytes())
    done, told = probe("promos/summer.mp4", "--media", media)
    assert done.returncode == 0, done
    assert [track["codec"] for track in told["tracks"]] == ["H264", "MPEG4Audio"]
    assert told["copy"] is True and 3.9 < told["duration"] < 4.1
    assert told["plays"]["copy"]["hls"] == {"plays": True, "why": ""}
    assert "without sound" in told["plays"]["copy"]["webrtc"]["why"]
    assert all(one == {"plays": True, "why": ""} for one in told["plays"]["transcode"].values())
    made = valid(told["manifest"], tmp_path)
    assert made["spec"]["source"] == {"file": {"path": "promos/summer.mp4"}}
    assert made["metadata"]["name"] == "summer"
    text = run_cli("probe", media / "promos" / "summer.mp4", "--media", media)
    assert text.returncode == 0 and told["manifest"] in text.stdout
    assert "webrtc  plays: without sound" in text.stdout


def test_what_cannot_be_opened(tmp_path):
    bad = tmp_path / "notes.mkv"
    bad.write_text("no media at all\n" * 100)
    os.utime(bad, (1, 1))  # or it might still be being written
    done, told = probe(bad)
    assert done.returncode == 1 and told["reason"] == "NotMedia" and "manifest" not in told
    assert run_cli("probe", tmp_path / "nowhere.mp4").returncode == 1
    done = run_cli("probe", bad)
    assert done.returncode == 1 and "NotMedia" in done.stderr and not done.stdout


def test_camera_with_a_password(camera, tmp_path):
    url = f"rtsp://127.0.0.1:{camera.port['rtsp']}/yard"
    good = secret(tmp_path, PASSWORD)
    done, told = probe(url, "--username", USER, "--password-file", good)
    assert done.returncode == 0, done
    assert [track["codec"] for track in told["tracks"]] == ["H264", "MPEG4Audio"]
    assert told["plays"]["copy"]["rtsp"]["plays"] is True
    assert PASSWORD not in done.stdout + done.stderr
    source = valid(told["manifest"], tmp_path)["spec"]["source"]
    assert source == {"rtsp": {"url": url, "username": USER, "passwordRef": {"name": "cam-pass"}}}


def test_camera_that_refuses(camera, tmp_path):
    url = f"rtsp://127.0.0.1:{camera.port['rtsp']}/yard"
    wrong = secret(tmp_path, "not-the-password")
    done, told = probe(url, "--username", USER, "--password-file", wrong)
    assert done.returncode == 1 and told["reason"] == "SourceAuthFailed", done
    assert "not-the-password" not in done.stdout + done.stderr
    good = secret(tmp_path, PASSWORD)
    dark = f"rtsp://127.0.0.1:{camera.port['rtsp']}/dark"
    done, told = probe(dark, "--username", USER, "--password-file", good)
    assert done.returncode == 1 and told["reason"] == "SourceNotFound", done
    done, told = probe("rtsp://127.0.0.1:9/x")
    assert done.returncode == 1 and told["reason"] == "SourceUnreachable", done


@pytest.mark.parametrize("arguments, code", [
    ((), 64), (("a.mp4", "b.mp4"), 64), (("--nonsense", "a.mp4"), 64), (("a.mp4", "-o"), 64),
    (("a.mp4", "-o", "yaml"), 64), (("rtsp://h/x", "--transport", "sctp"), 64),
    (("ftp://h/x",), 1), (("rtsp://u:p@h/x",), 1)])
def test_wrong_arguments(arguments, code):
    done = run_cli("probe", *arguments)
    assert done.returncode == code and done.stderr and not done.stdout, done
