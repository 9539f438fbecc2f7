# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input and bad surroundings: what was fine stays fine, and the message says what to do."""
import socket

from harness import holds, ident, stream, wait


def settled_pair(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    return world.encoder("a"), world.encoder("b")


def test_manifests_directory_gone_and_back(world):
    before = settled_pair(world)
    world.streams.rename(world.root / "elsewhere")
    wait(lambda: world.status()["summary"]["heldDeletes"] == 2, "the deletions are held")
    assert world.status()["plan"]["id"] in ("", None), "nothing can approve that"
    holds(lambda: (world.encoder("a"), world.encoder("b")) == before, "all go on", 0.5)
    (world.root / "elsewhere").rename(world.streams)
    wait(lambda: world.status()["summary"]["heldDeletes"] == 0, "the directory is back", 20)
    world.add("c")
    world.wait_settled("a", "b", "c")
    assert (world.encoder("a"), world.encoder("b")) == before


def test_manifests_directory_empty(world):
    before = settled_pair(world)
    for name in ("a", "b"):
        world.remove(f"{name}.yaml")
    wait(lambda: world.status()["summary"]["heldDeletes"] == 2, "the deletions are held")
    assert (world.encoder("a"), world.encoder("b")) == before


def test_daemon_starts_without_the_manifests_directory(make_world):
    world = make_world()
    world.streams.rename(world.root / "elsewhere")
    world.start()
    wait(lambda: world.get("/livez").status_code == 200, "it lives")
    (world.root / "elsewhere").rename(world.streams)
    world.add("a")
    world.wait_settled("a", timeout=20)


def test_empty_file(world):
    before = settled_pair(world)
    world.write("a.yaml", "")
    wrong = wait(lambda: world.file("a.yaml")["state"] == "Invalid" and world.file("a.yaml"),
                 "the empty file is told of")
    assert "empty" in wrong["errors"][0]["message"].lower()
    world.write("c.yaml", "# only a comment\n")
    wait(lambda: world.file("c.yaml"), "the other is seen")
    assert (world.encoder("a"), world.encoder("b")) == before


def test_half_written_file(world):
    before = settled_pair(world)
    text = stream("a", encode={"transcode": {"video": {"size": "160x90"}}})
    half = len(text) // 2
    with open(world.streams / "a.yaml", "w") as file:
        file.write(text[:half])
        file.flush()
        world.wait_seen()  # whether or not it was read so far: nothing is touched
        assert (world.encoder("a"), world.encoder("b")) == before
    wait(lambda: world.file("a.yaml")["state"] == "Invalid", "half of it is refused")
    assert (world.encoder("a"), world.encoder("b")) == before
    with open(world.streams / "a.yaml", "a") as file:
        file.write(text[half:])
    wait(lambda: world.stream("a")["generation"] == 2, "the whole of it is taken")
    world.wait_settled("a", "b")
    assert world.encoder("b") == before[1]


def test_binary_file(world):
    before = settled_pair(world)
    path = world.streams / "junk.yaml"
    path.write_bytes(bytes(range(256)) * 64)
    wait(lambda: world.file("junk.yaml")["state"] == "Invalid", "it is refused")
    assert (world.encoder("a"), world.encoder("b")) == before


def test_media_missing_then_there(world):
    before = settled_pair(world)
    world.add("late", source={"file": {"path": "late.mp4"}})
    wait(lambda: "FileMissing" in world.reasons("late"), "FileMissing")
    assert "late.mp4" in world.reasons("late")
    assert (world.encoder("a"), world.encoder("b")) == before
    world.add_media("clip.mp4", as_name="late.mp4")
    world.wait_settled("late", timeout=20)
    assert (world.encoder("a"), world.encoder("b")) == before


def test_media_that_is_none(world):
    before = settled_pair(world)
    (world.media / "text.mp4").write_text("this is no film\n" * 100)
    world.add("text", source={"file": {"path": "text.mp4"}})
    wait(lambda: "text.mp4 is no media" in world.condition("text", "Ready")["message"]
         and "NotMedia" in world.reasons("text"), "NotMedia", 20)
    assert (world.encoder("a"), world.encoder("b")) == before
    world.add_media("clip.mp4", as_name="text.mp4")
    world.wait_settled("text", timeout=30)


def test_media_that_goes_away_while_it_plays(world):
    """The running encoder has it open: it goes on, nobody is cut off."""
    before = settled_pair(world)
    viewer = world.reader("a").more(25)
    (world.media / "clip.mp4").rename(world.media / "away.mp4")
    viewer.more(150, timeout=20)
    assert world.encoder("a") == before[0]
    assert viewer.max_step(2) <= 1.5 / 25


def test_media_outside_the_media_root(world):
    before = settled_pair(world)
    world.write("evil.yaml", stream("evil", source={"file": {"path": "../sluice.yaml"}}))
    wait(lambda: world.file("evil.yaml")["state"] == "Invalid", "it is refused")
    assert world.stream("evil") is None
    assert (world.encoder("a"), world.encoder("b")) == before


def test_page_port_in_use(make_world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        world = make_world(listen=f"127.0.0.1:{port}")
        code, text = world.ends()
    assert code == 78 and str(port) in text, text
    assert not world.ours()


def test_port_of_mediamtx_in_use(make_world):
    """Its API's port held by another: told, and all is well once it is free."""
    world = make_world()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", world.port["rtsp"]))
        taken.listen()
        process = world.spawn()
        wait(lambda: process.poll() is not None or str(world.port["rtsp"]) in world.all_logs(),
             "the port is named", 20)
        text = world.all_logs()
        assert str(world.port["rtsp"]) in text
        if process.poll() is not None:
            assert process.returncode == 78


def test_state_directory_that_cannot_be(make_world):
    world = make_world()
    world.state.write_text("in the way\n")
    code, text = world.ends()
    assert code == 78 and str(world.state) in text, text
    assert not world.ours()


def test_runtime_directory_that_cannot_be(make_world):
    world = make_world()
    world.run.write_text("in the way\n")
    code, text = world.ends()
    assert code == 78 and str(world.run) in text, text


def test_second_daemon_on_the_same_state(world):
    before = settled_pair(world)
    first = world.process
    code, text = world.ends()
    world.process = first
    assert code == 78 and str(first.pid) in text, text
    assert (world.encoder("a"), world.encoder("b")) == before
    assert first.poll() is None


def test_mediamtx_missing(make_world):
    world = make_world(mediamtx={"binary": "/nonexistent/mediamtx"})
    code, text = world.ends()
    assert code == 78 and "/nonexistent/mediamtx" in text, text
    assert not world.ours()


def test_mediamtx_too_old(make_world):
    world = make_world()
    fake = world.root / "old-mediamtx"
    fake.write_text("#!/bin/sh\necho v1.0.0\n")
    fake.chmod(0o755)
    world.settings["mediamtx"]["binary"] = str(fake)
    world.write_settings()
    code, text = world.ends()
    assert code == 78 and "1.0.0" in text and "1.20.1" in text, text


def test_template_that_cannot_work(make_world):
    world = make_world()
    text = world.template.read_text()
    world.template.write_text(text + "paths:\n  all_others: {}\n")
    code, said = world.ends()
    line = text.count("\n") + 2
    assert code == 78 and str(world.template) in said and "all_others" in said, said
    assert str(line) in said, said


def test_bad_settings_name_file_and_line(make_world):
    world = make_world()
    world.config.write_text(world.config.read_text() + "listten: 1\n")
    code, text = world.ends()
    assert code == 78 and "sluice.yaml" in text and "listten" in text, text


def test_drift_in_mediamtx_is_healed(make_world):
    world = make_world(timing={"drift": "1s"}).start()
    world.add("a", "b")
    world.wait_settled("a", "b")
    other = world.encoder("b")
    world.api("/v3/config/paths/delete/a", "DELETE").raise_for_status()
    wait(lambda: world.paths().get("a", {}).get("ready") and world.ready(world.stream("a")),
         "the path is back", 20)
    assert world.encoder("b") == other


def test_state_lost_adopts_what_runs(make_world):
    world = make_world(on_exit="detach").start()
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a")
    world.terminate()
    for path in world.state.glob("sluice.db*"):
        path.unlink()
    world.on_exit = "stop"
    world.start()
    world.wait_settled("a", "b")
    assert world.encoder("a") == before
    assert ident(before[0]) == before
