# SPDX-License-Identifier: GPL-2.0-or-later
"""The table failure → reason → text of docs/operations.md: a test a row, twice: it is told, and it
is over once its cause is gone. Failures that are there from the start, then such that come while a
stream plays. All rows of a table happen at once (failing.py), beside a stream that is well."""
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from camera import PASSWORD, TsOverHttp, secrets
from clients import Viewer
from coded import coded, judge_frames
from failing import CLIP, ENCODE, Row, Table
from harness import SLOW, stream, wait

BOTH = ("copy", "transcode")


# --- what fails, and how it is mended -------------------------------------------------------------
def of(camera, path=None, **more):
    """A row's source: a path of a camera, of the row's own name by default."""
    return lambda table, row: table.cameras[camera].rtsp(path or row.name, **more)


def no_login(table, row):
    return {"rtsp": {"url": table.cameras["main"].rtsp("one")["rtsp"]["url"]}}


def with_login(table, row):
    table.world.write(f"{row.name}.yaml", stream(
        row.name, source=table.cameras["main"].rtsp("one"),
        encode=ENCODE[row.how]))


def put(name, data):
    """A secret, now."""
    return lambda table, row: secrets(table.world, **{name.format(row.how): data})


def start(camera):
    def go(table, row):
        if not table.cameras[camera].process:
            table.cameras[camera].start(wait_for_paths=False)
    return go


def http(status):
    def make(table, row):
        row.server = table.stack.enter_context(contextlib.closing(
            TsOverHttp(coded(1, CLIP), status=status)))
        return {"pull": {"url": row.server.url}}
    return make


def answer_200(table, row):
    row.server.status = 200


def pulled(protocol):
    return lambda table, row: table.cameras["off"].pull(protocol, "hls0")


def file(make):
    """A media file that is not what it should be."""
    def go(table, row):
        row.target = table.world.media / f"{row.name}.mp4"
        make(row.target)
        os.utime(row.target, (time.time() - 60,) * 2)
        return {"file": {"path": row.target.name}}
    return go


def good_file(table, row):
    part = row.target.with_name(".part")
    shutil.copyfile(coded(1, CLIP), part)
    os.utime(part, (time.time() - 60,) * 2)
    part.rename(row.target)


def made(name, *arguments):
    """A file made by ffmpeg of the coded clip."""
    path = coded(1, CLIP).parent / name
    if not path.exists():
        part = path.with_name(f"part-{os.getpid()}-{name}")
        subprocess.run(["ffmpeg", "-loglevel", "error", "-nostdin", "-y", "-i", str(coded(1, CLIP)),
                        *arguments, str(part)], check=True)
        part.rename(path)
    return path


def encrypted(target):
    shutil.copyfile(made("coded-encrypted.mp4", "-c", "copy", "-encryption_scheme",
                         "cenc-aes-ctr", "-encryption_key", "0123456789abcdef" * 2,
                         "-encryption_kid", "fedcba9876543210" * 2), target)


def without_index(target):
    data = made("coded-index-last.mp4", "-c", "copy", "-movflags", "0").read_bytes()
    target.write_bytes(data[:len(data) // 2])


def cut_off(target):
    data = coded(1, CLIP).read_bytes()
    target.write_bytes(data[:len(data) // 3])


def empty(target):
    target.write_bytes(b"")


def text(target):
    target.write_text("this is no film\n" * 200)


def of_codec(audio):
    return lambda target: shutil.copyfile(coded(1, f"coded-{audio}.mkv", audio=audio), target)


# --- the table: from the start --------------------------------------------------------------------
REFUSED = "refused|tim(ed|e).?out|unreachable|cannot be reached"
TIMED_OUT = "tim(ed|e).?out|no answer|does not answer"
LOGIN = "password|credential|user name|secret"
NOTHING = "nothing|no frame|silent|no packet"
NOT_THERE = "not found|no such|404|nothing at this path"
FILM = {"restarts": 99, "mend": good_file, "within": 15}

ROWS = [row for how in BOTH for row in (
    Row("camera off", how, of("off", "hls0"), "SourceUnreachable", REFUSED, 15, start("off"), 15),
    Row("camera hangs", how, of("hung", "one"), "SourceUnreachable", TIMED_OUT, 35,
        lambda table, row: table.cameras["hung"].wake(), 30),
    Row("wrong password", how, lambda table, row: table.cameras["main"].rtsp(
        "one", passwordRef={"name": f"bad-{row.how}"}), "SourceAuthFailed", LOGIN, 20,
        put("bad-{}", PASSWORD), 25, restarts=99),
    Row("no password", how, no_login, "SourceAuthFailed", LOGIN, 20, with_login, 25, restarts=99),
    Row("no such path", how, of("main"), "SourceNotFound", NOT_THERE, 20,
        lambda table, row: table.cameras["main"].feed(row.name, coded(1, CLIP)), 15),
    Row("sends nothing", how, of("main"), "NoFrames", NOTHING, 25,
        lambda table, row: table.cameras["main"].unmute(row.name), 20),
    Row("secret missing", how, lambda table, row: table.cameras["main"].rtsp(
        "one", passwordRef={"name": f"late-{row.how}"}), "SecretMissing", f"late-{how}", 10,
        put("late-{}", PASSWORD), 25),
    Row("srt server off", how, pulled("srt"), "SourceUnreachable", REFUSED, 25, start("off"), 15),
    Row("rtmp server off", how, pulled("rtmp"), "SourceUnreachable", REFUSED, 15, start("off"), 15),
    Row("hls server off", how, pulled("hls"), "SourceUnreachable", REFUSED, 15, start("off"), 25),
    Row("encrypted", how, file(encrypted), "Encrypted", "encrypted.*-.*mp4|mp4.*encrypted", **FILM),
    Row("zero length", how, file(empty), "NotMedia|FileIncomplete", "mp4 is empty", **FILM),
    Row("no index", how, file(without_index), "Truncated|FileIncomplete", "index", **FILM),
    Row("cut off", how, file(cut_off), "Truncated|FileIncomplete", "cut off", **FILM),
    Row("no media", how, file(text), "NotMedia", "is no media", **FILM),
)] + [
    Row("codec flac", "copy", file(of_codec("flac")), "CodecNotCarried", "flac.*transcode", **FILM),
    Row("codec ac3", "copy", file(of_codec("ac3")), "CodecNotCarried", "ac-?3.*transcode", **FILM),
    Row("http 404", "copy", http(404), "SourceNotFound", NOT_THERE, 20, answer_200),
    Row("http 401", "copy", http(401), "SourceAuthFailed", LOGIN, 20, answer_200),
    Row("http 403", "copy", http(403), "SourceAuthFailed", LOGIN, 20, answer_200),
    Row("http 503", "copy", http(503), "SourceUnreachable", "50\\d|5XX|server", 20, answer_200),
]


def from_the_start():
    clip = coded(1, CLIP)
    names = [row.name for row in ROWS]
    cameras = {
        "main": (({"one": clip, **{name: clip for name in names if "sends-nothing" in name}},),
                 {"empty": [name for name in names if "no-such-path" in name]}),
        "off": (({"hls0": clip},), {"lazy": True}),
        "hung": (({"one": clip},), {}),
    }
    return Table(ROWS, False, cameras, {"bad_copy": "not this one", "bad_transcode": "nor this"},
                 prepare=lambda table: [
                     *(table.cameras["main"].mute(name) for name in names
                       if "sends-nothing" in name), table.cameras["hung"].hang()])


@pytest.fixture(scope="module")
def first(programs):
    with contextlib.closing(from_the_start()) as table:
        print(table.times())
        yield table


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_is_told(first, row):
    first.check_told(row)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_is_over_when_it_is_mended(first, row):
    first.check_back(row)


def test_nothing_else_is_touched(first):
    assert first.beside == first.beside_after
    assert not first.leaks, "a password is told there"


# --- the table: while it plays --------------------------------------------------------------------
def fault(letter):
    return lambda table, row: Path(os.environ["FAULT"]).write_text(letter)


def on_disk(table, row):
    row.target = table.world.media / f"{row.name}-diskfault.mp4"
    shutil.copyfile(coded(1, CLIP), row.target)
    os.utime(row.target, (time.time() - 60,) * 2)
    return {"file": {"path": row.target.name}}


def healthy_disk(table, row):
    Path(os.environ["FAULT"]).unlink(missing_ok=True)


def larger(table, row):
    table.cameras["main"].feed(row.name, coded(1, "coded-large.mp4", size=(320, 240)))


PLAYING = [row for how in BOTH for row in (
    Row("camera goes off", how, of("off", "one"), "SourceUnreachable", REFUSED, 20, start("off"),
        12, fail=lambda table, row: table.cameras["off"].stop()),
    Row("falls silent", how, of("main"), "NoFrames", NOTHING, 25,
        lambda table, row: table.cameras["main"].unmute(row.name), 15,
        fail=lambda table, row: table.cameras["main"].mute(row.name)),
    Row("picture gone", how, of("main"), "SourceNotFound", NOT_THERE, 20,
        lambda table, row: table.cameras["main"].feed(row.name, coded(1, CLIP)), 15,
        fail=lambda table, row: table.cameras["main"].blind(row.name)),
    Row("password changed", how, of("login", "one"), "SourceAuthFailed", LOGIN, 25,
        lambda table, row: secrets(table.world, login_pass="another one"), 25, restarts=99,
        same=False, fail=lambda table, row: table.cameras["login"].password == PASSWORD
        and table.cameras["login"].change_password("another one")),
    Row("size changed", how, of("main"), "", "", 0, back=20, fail=larger),
)]
DISK = [Row("disk error", "copy", on_disk, "FileUnreadable", "disk|input/output error", 30,
            healthy_disk, 75, fail=fault("e"), restarts=99, same=False)]


@pytest.fixture(scope="module")
def playing(programs, tmp_path_factory):
    clip = coded(1, CLIP)
    rows = PLAYING + (DISK if SLOW == 1 else [])
    folder = tmp_path_factory.mktemp("disk")
    cameras = {"main": (({row.name: clip for row in PLAYING},), {}),
               "off": (({"one": clip},), {}),
               "login": (({"one": clip},), {"secret": "login-pass"})}
    with faulty_disk(folder) if SLOW == 1 else contextlib.nullcontext(), \
            contextlib.closing(Table(rows, True, cameras)) as table:
        print(table.times())
        yield table


@contextlib.contextmanager
def faulty_disk(folder):
    """Everything started meanwhile has diskfault.c in front of the C library."""
    library = folder / "diskfault.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library),
                    str(Path(__file__).with_name("diskfault.c")), "-ldl"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("FAULT", str(folder / "fault"))
        yield


@pytest.mark.parametrize("row", [row for row in PLAYING + DISK if row.reason], ids=str)
def test_is_told_while_it_plays(playing, row):
    if row not in playing.rows:
        pytest.skip("a sanitizer's own library must be the first one loaded")
    playing.check_told(row)


@pytest.mark.parametrize("row", PLAYING + DISK, ids=str)
def test_plays_on_when_it_is_mended(playing, row):
    if row not in playing.rows:
        pytest.skip("a sanitizer's own library must be the first one loaded")
    playing.check_back(row)


def test_nothing_else_is_touched_while_it_plays(playing):
    assert playing.beside == playing.beside_after
    assert not playing.leaks, "a password is told there"


# --- what is no failure ---------------------------------------------------------------------------
def two_sizes():
    """160x120 for a while, then 320x240, in one MPEG-TS."""
    path = coded(1, CLIP).parent / "coded-two-sizes.ts"
    if not path.exists():
        part = path.with_name(f"part-{os.getpid()}-two-sizes.ts")
        small = coded(1, "coded-small-part.ts", frames=40)
        large = coded(1, "coded-large-part.ts", frames=40, size=(320, 240),
                      options=["-output_ts_offset", "4"])
        part.write_bytes(small.read_bytes() + large.read_bytes())
        part.rename(path)
    return path


@pytest.mark.parametrize("how", BOTH)
def test_size_changes_in_mid_stream(make_world, how):
    """It plays on: copied with parameter sets in band, transcoded at one size."""
    world = make_world(media=())
    shutil.copyfile(two_sizes(), world.media / "film.ts")
    os.utime(world.media / "film.ts", (time.time() - 60,) * 2)
    world.start()
    world.add("cam", source={"file": {"path": "film.ts"}}, encode=ENCODE[how])
    world.wait_settled("cam")
    encoder = world.encoder("cam")
    viewer = Viewer(world.url("cam"), sound=False)
    try:
        viewer.watch(100, 0, 25)  # 10 s: both changes at least
    finally:
        viewer.close()
    assert viewer.seen >= 100, viewer.last_words()
    assert judge_frames(viewer.frames, 1, loop=40, most=3, lost=4) == []
    assert world.encoder("cam") == encoder and world.ready(world.stream("cam"))


def test_what_cannot_be_copied_can_be_transcoded(make_world):
    """The text says so, and it is true."""
    world = make_world(media=())
    for audio in ("flac", "ac3"):
        of_codec(audio)(world.media / f"{audio}.mkv")
        os.utime(world.media / f"{audio}.mkv", (time.time() - 60,) * 2)
    world.start()
    for audio in ("flac", "ac3"):
        world.add(audio, source={"file": {"path": f"{audio}.mkv"}},
                  encode=ENCODE["transcode"])
    world.wait_settled("flac", "ac3")
    for audio in ("flac", "ac3"):
        viewer = Viewer(world.url(audio))
        try:
            viewer.watch(10, 0.5)
        finally:
            viewer.close()
        assert judge_frames(viewer.frames, 1, most=2) == [] and viewer.heard()


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer's own library must be the first one loaded")
def test_disk_that_hangs(make_world, tmp_path):
    """A read that never returns: the encoder is found stuck, killed, replaced until it works."""
    with faulty_disk(tmp_path):
        world = make_world(media=())
        for name in ("diskfault.mp4", "other.mp4"):
            shutil.copyfile(coded(1, CLIP), world.media / name)
            os.utime(world.media / name, (time.time() - 60,) * 2)
        world.start()
        world.add("cam", source={"file": {"path": "diskfault.mp4"}})
        world.add("beside", source={"file": {"path": "other.mp4"}})
        world.wait_settled("cam", "beside")
        beside = world.encoder("beside")
        fault("h")(None, None)
        wait(lambda: "EncoderStuck" in world.reasons("cam"), "EncoderStuck", 30)
        assert world.encoder("beside") == beside
        healthy_disk(None, None)
        world.wait_settled("cam", timeout=75)
