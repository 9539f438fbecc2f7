# SPDX-License-Identifier: GPL-2.0-or-later
"""Add, edit, break, mend, rename, delete: what people do to manifests, on a real MediaMTX."""
import signal

from harness import config, holds, ident, stream, wait


def test_add(world):
    world.add("berlin/yard")
    status = world.wait_settled("berlin/yard")
    one = world.stream("berlin/yard", status)
    assert one["file"] == "berlin_yard.yaml" and one["line"] == 1
    assert one["sync"] == "Synced" and one["health"] == "Healthy"
    assert one["generation"] == one["observedGeneration"] == 1
    assert one["encoder"]["restarts"] == 0
    assert world.paths()["berlin/yard"]["ready"]
    assert status["summary"]["streams"] == status["summary"]["ready"] == 1
    assert world.file("berlin_yard.yaml", status)["state"] == "Valid"


def test_several_documents_in_a_file(world):
    world.write("both.yaml", stream("one") + "---\n" + stream("two"))
    world.wait_settled("one", "two")
    assert world.stream("two")["line"] > world.stream("one")["line"]


def test_edit_of_the_encoding_restarts_that_stream_alone(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    a, b = world.encoder("a"), world.encoder("b")
    world.add("a", encode={"transcode": {"video": {"size": "160x90", "bitrate": "200k"}}})
    wait(lambda: world.stream("a")["generation"] == 2 and world.encoder("a") not in (None, a),
         "a new encoder of a")
    world.wait_settled("a", "b")
    assert world.stream("a")["observedGeneration"] == 2
    assert world.encoder("b") == b
    assert world.stream("a")["encoder"]["restarts"] == 0, "asked for: not counted"


def test_edit_to_another_media_file(world):
    world.add_media("other.mp4")
    world.add("a")
    world.wait_settled("a")
    old = world.encoder("a")
    world.add("a", source={"file": {"path": "other.mp4"}})
    wait(lambda: world.encoder("a") not in (None, old), "a new encoder")
    world.wait_settled("a")
    world.reader("a").more(10)
    assert ident(old[0]) != old


def test_the_media_file_itself_changes(world):
    world.add("a", source={"file": {"path": "show.mp4"}})
    world.add_media("clip.mp4", as_name="show.mp4")
    world.wait_settled("a")
    old = world.encoder("a")
    world.add_media("other.mp4", as_name="show.mp4")
    wait(lambda: world.encoder("a") not in (None, old), "the new file is played", 30)
    world.wait_settled("a")


def test_no_touch(world):
    """White space, comments, order of keys, a touch: no new generation, no restart."""
    world.add("a")
    world.wait_settled("a")
    before = world.encoder("a")
    world.write("a.yaml", "# a comment\n\nkind: Stream\napiVersion: sluice/v1\n"
                          "spec: {source: {file: {loop: true, path: 'clip.mp4'}}}\n\n"
                          "metadata:\n    name:   a   # here\n")
    world.wait_seen()
    assert world.encoder("a") == before
    assert world.stream("a")["generation"] == 1
    world.process.send_signal(signal.SIGHUP)
    world.wait_seen()
    assert world.encoder("a") == before


def test_break_and_mend(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a"), world.encoder("b")
    world.write("a.yaml", "apiVersion: sluice/v1\nkind: Stream\nmetadata:\n  name: a\nspec:\n"
                          "  source:\n    file: {path: clip.mp4}\n  encode:\n    copi: {}\n")
    broken = wait(lambda: world.file("a.yaml")["state"] == "Invalid" and world.file("a.yaml"),
                  "the file shown as invalid")
    error = broken["errors"][0]
    assert error["line"] == 9 and error["column"] == 5, error
    assert "copi" in error["message"] and "copy" in error["hint"]
    assert broken["objects"] == ["a"]
    status = world.status()
    assert status["summary"]["rejectedFiles"] == 1
    accepted = world.condition("a", "Accepted")
    assert accepted["status"] == "False"
    assert world.condition("a", "Ready")["status"] == "True"
    assert (world.encoder("a"), world.encoder("b")) == before
    world.add("a")
    wait(lambda: world.file("a.yaml")["state"] == "Valid", "the file valid again")
    wait(lambda: world.condition("a", "Accepted")["status"] == "True", "accepted again")
    assert (world.encoder("a"), world.encoder("b")) == before
    assert world.stream("a")["generation"] == 1


def test_all_errors_of_a_file_at_once(world):
    world.write("x.yaml", "apiVersion: sluice/v1\nkind: Stream\nmetadata: {name: x}\nspec:\n"
                          "  suspend: flase\n  source:\n    test: {rate: 6M, tone: 010x}\n"
                          "  sourse: {}\n")
    wrong = wait(lambda: world.file("x.yaml"), "the file is seen")
    assert {error["line"] for error in wrong["errors"]} >= {5, 7, 8}, wrong
    assert world.stream("x") is None


def test_broken_file_keeps_its_stream_over_a_restart(world):
    world.add("a")
    world.wait_settled("a")
    before = world.encoder("a")
    world.write("a.yaml", "apiVersion: [\n")
    wait(lambda: world.file("a.yaml")["state"] == "Invalid", "the file shown as invalid")
    world.kill()
    world.start()
    world.wait_settled("a")
    assert world.encoder("a") == before
    assert world.file("a.yaml")["state"] == "Invalid"


def test_duplicate_name_names_both_places(world):
    world.add("a")
    world.wait_settled("a")
    before = world.encoder("a")
    world.write("second.yaml", stream("a", source={"test": {"size": "160x90"}}))
    wrong = wait(lambda: world.file("second.yaml")["state"] == "Invalid"
                 and world.file("second.yaml"), "the second file refused")
    assert any("a.yaml" in str(error) for error in wrong["errors"]), wrong
    assert world.file("a.yaml")["state"] == "Valid"
    assert world.encoder("a") == before


def test_rename_of_the_file_touches_nothing(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a")
    (world.streams / "sub").mkdir()
    (world.streams / "a.yaml").rename(world.streams / "sub" / "moved.yaml")
    wait(lambda: world.stream("a")["file"] == "sub/moved.yaml", "the new place shown")
    world.wait_seen()
    assert world.encoder("a") == before
    assert world.stream("a")["generation"] == 1


def test_rename_of_the_stream(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old, other = world.encoder("a"), world.encoder("b")
    world.write("a.yaml", stream("c"))
    world.wait_settled("c")
    wait(lambda: world.stream("a") is None, "a is gone")
    wait(lambda: ident(old[0]) != old, "its encoder is gone")
    wait(lambda: "a" not in world.configured(), "its path is gone")
    assert world.encoder("b") == other


def test_delete_one(world):
    world.add("a", "b", "c")
    world.wait_settled("a", "b", "c")
    old, other = world.encoder("b"), world.encoder("a")
    world.remove("b.yaml")
    wait(lambda: world.stream("b") is None, "b is gone")
    wait(lambda: ident(old[0]) != old, "its encoder is gone")
    wait(lambda: "b" not in world.configured(), "its path is gone")
    wait(lambda: all(record["name"] != "b" for record in world.records()), "its record is gone")
    assert world.configured() >= {"a", "c"}
    assert world.encoder("a") == other


def test_mass_deletion_is_held_and_released_by_approval(world):
    names = ["a", "b", "c", "d"]
    world.add(*names)
    world.wait_settled(*names)
    before = {name: world.encoder(name) for name in names}
    for name in "bcd":
        world.remove(f"{name}.yaml")
    held = wait(lambda: world.status()["summary"]["heldDeletes"] == 3 and world.status(),
                "three deletions held")
    plan = held["plan"]["id"]
    assert len(plan) == 12
    holds(lambda: {name: world.encoder(name) for name in names} == before, "all go on", 0.5)
    world.add("e")  # creates go on meanwhile
    world.wait_settled("e")
    world.write("config.yaml", config(["000000000000"]))  # of another plan
    world.wait_seen()
    assert world.status()["summary"]["heldDeletes"] == 3
    assert plan == world.status()["plan"]["id"]
    world.write("config.yaml", config([plan]))
    wait(lambda: {one["name"] for one in world.status()["streams"]} == {"a", "e"},
         "the three are gone")
    wait(lambda: world.configured() == {"a", "e"}, "their paths are gone")
    assert all(ident(before[name][0]) != before[name] for name in "bcd")
    assert world.encoder("a") == before["a"]
    assert world.status()["summary"]["heldDeletes"] == 0


def test_held_deletion_ends_when_the_files_are_back(world):
    names = ["a", "b", "c"]
    world.add(*names)
    world.wait_settled(*names)
    before = {name: world.encoder(name) for name in names}
    for name in names:
        world.remove(f"{name}.yaml")
    wait(lambda: world.status()["summary"]["heldDeletes"] == 3, "held")
    world.add(*names)
    wait(lambda: world.status()["summary"]["heldDeletes"] == 0, "no longer held")
    world.wait_settled(*names)
    assert {name: world.encoder(name) for name in names} == before


def test_suspend_and_resume(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old = world.encoder("a")
    world.add("a", suspend=True)
    wait(lambda: world.stream("a")["health"] == "Suspended", "shown as suspended")
    wait(lambda: ident(old[0]) != old, "its encoder is gone")
    wait(lambda: "a" not in world.configured(), "its path is gone")
    assert world.ready(world.stream("b"))
    world.add("a")
    world.wait_settled("a")


def test_restart_token(world):
    world.add("a")
    world.wait_settled("a")
    old = world.encoder("a")
    world.add("a", restartToken="again")
    wait(lambda: world.encoder("a") not in (None, old), "a new encoder")
    world.wait_settled("a")


def test_a_broken_file_releases_no_held_deletion(world):
    """A file that cannot be read may hold any of the missing streams: the guard counts them."""
    names = ["a", "b", "c", "d"]
    world.add(*names)
    world.wait_settled(*names)
    before = {name: world.encoder(name) for name in names}
    for name in "bcd":
        world.remove(f"{name}.yaml")
    wait(lambda: world.status()["summary"]["heldDeletes"] == 3, "three deletions held")
    world.write("new.yaml", "apiVersion: sluice/v1\nkind: Nothing\nmetadata: {name: c}\n")
    wait(lambda: world.file("new.yaml"), "the broken file is seen")
    holds(lambda: {name: world.encoder(name) for name in names} == before, "all go on", 0.5)
