# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of each process, with a viewer that counts frames."""
import os
import signal

from harness import Timeout, holds, ident, wait

FRAME = 1 / 25


def test_encoder(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old, other = world.encoder("a"), world.encoder("b")
    viewer = world.reader("b").more(25)
    os.kill(old[0], signal.SIGKILL)
    wait(lambda: world.encoder("a") not in (None, old), "a new encoder")
    world.wait_settled("a")
    one = world.stream("a")
    assert one["encoder"]["restarts"] == 1
    assert "signal 9" in world.log() or "signal=9" in world.log() or "SIGKILL" in world.log()
    world.reader("a").more(10)
    viewer.more(50)
    assert viewer.max_step(2) <= 1.5 * FRAME and world.encoder("b") == other


def test_encoder_that_dies_again_and_again_backs_off_and_says_why(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    other = world.encoder("b")
    for count in (1, 2):
        old = wait(lambda: world.ready(world.stream("a")) and world.encoder("a"), "a runs", 20)
        os.kill(old[0], signal.SIGKILL)
        wait(lambda: world.stream("a")["encoder"]["restarts"] == count, f"restart {count} counted")
        assert any(word in world.reasons("a") for word in ("KILL", "signal 9")), world.reasons("a")
    world.wait_settled("a", timeout=20)
    assert world.encoder("b") == other


def test_stuck_encoder_is_replaced(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old, other = world.encoder("a"), world.encoder("b")
    os.kill(old[0], signal.SIGSTOP)
    wait(lambda: world.encoder("a") not in (None, old), "a new encoder", 25)
    world.wait_settled("a", timeout=20)
    assert ident(old[0]) != old
    assert "stuck" in world.log().lower()
    assert world.encoder("b") == other


def test_host(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a"), world.encoder("b")
    viewer = world.reader("a").more(25)
    host = world.host_pid()
    os.kill(host, signal.SIGKILL)
    wait(lambda: world.host_pid() != host, "a new host")
    world.add("c")
    world.wait_settled("a", "b", "c")
    assert (world.encoder("a"), world.encoder("b")) == before
    viewer.more(50)
    assert viewer.max_step(2) <= 1.5 * FRAME
    # an encoder whose parent is gone is still told of, replaced and counted
    os.kill(before[0][0], signal.SIGKILL)
    wait(lambda: world.encoder("a") not in (None, before[0]), "a new encoder")
    world.wait_settled("a")
    assert world.stream("a")["encoder"]["restarts"] == 1
    # and one that nobody wants any more is ended
    world.remove("b.yaml")
    wait(lambda: ident(before[1][0]) != before[1], "its encoder is gone")
    wait(lambda: world.stream("b") is None, "b is gone")


def test_daemon(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a"), world.encoder("b"), world.mediamtx(), ident(world.host_pid())
    viewer = world.reader("a").more(25)
    world.kill()
    viewer.more(50)
    world.start()
    world.wait_settled("a", "b")
    after = world.encoder("a"), world.encoder("b"), world.mediamtx(), ident(world.host_pid())
    assert after == before
    viewer.more(100)
    assert viewer.alive() and viewer.max_step(2) <= 1.5 * FRAME, viewer.max_step(2)
    assert world.stream("a")["encoder"]["restarts"] == 0
    assert world.stream("a")["generation"] == 1


def test_daemon_killed_while_a_manifest_changes(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    before, gone = world.encoder("a"), world.encoder("b")
    world.kill()
    world.add("c")
    world.remove("b.yaml")
    world.start()
    world.wait_settled("a", "c")
    wait(lambda: world.stream("b") is None and ident(gone[0]) != gone, "b is gone")
    assert world.encoder("a") == before


def test_encoder_dies_while_the_daemon_is_away(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old, other = world.encoder("a"), world.encoder("b")
    world.kill()
    os.kill(old[0], signal.SIGKILL)
    wait(lambda: ident(old[0]) != old, "it is gone")
    world.start()
    world.wait_settled("a", "b")
    assert world.encoder("a") != old and world.encoder("b") == other
    assert world.stream("a")["encoder"]["restarts"] == 1


def test_daemon_killed_again_and_again(world):
    """At any moment: no encoder twice, none lost."""
    names = ["a", "b", "c"]
    world.add(*names)
    for patience in (0.05, 0.15, 0.3, 0.5):
        holds(lambda: world.process.poll() is None, "the daemon runs", patience)
        world.kill()
        world.start()
    world.wait_settled(*names)
    alive = [record["name"] for record in world.records() if ident(record["pid"])]
    wait(lambda: sorted(record["name"] for record in world.records()
                        if ident(record["pid"]) and not record.get("exit")) == names,
         f"one encoder a stream, not {sorted(alive)}", 15)
    assert all(world.paths()[name]["ready"] for name in names)


def test_mediamtx(world):
    world.add("a", "b", "c")
    world.wait_settled("a", "b", "c")
    old = world.mediamtx()
    os.kill(old[0], signal.SIGKILL)
    wait(lambda: world.mediamtx() not in (None, old), "a new MediaMTX", 15)
    wait(lambda: all(world.paths().get(name, {}).get("ready") for name in "abc"),
         "all streams are back", 30)
    world.wait_settled("a", "b", "c", timeout=30)
    world.reader("b").more(25)
    world.stop()


def test_daemon_and_mediamtx_together(world):
    """The daemon dies while it brings MediaMTX back: the next one takes up from there."""
    world.add("a", "b")
    world.wait_settled("a", "b")
    for moment in (0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08):
        os.kill(world.mediamtx()[0], signal.SIGKILL)
        holds(lambda: True, "", moment)
        world.kill()
        world.start()
        wait(world.mediamtx, "MediaMTX is back")
    world.wait_settled("a", "b", timeout=30)
    world.reader("a").more(25)
    world.stop()


def test_sigterm_detaches_and_the_next_daemon_adopts(make_world):
    world = make_world(on_exit="detach").start()
    world.add("a", "b")
    world.wait_settled("a", "b")
    before = world.encoder("a"), world.encoder("b"), world.mediamtx()
    viewer = world.reader("a").more(25)
    assert world.terminate() == 0
    viewer.more(50)
    assert [ident(one[0]) for one in before] == list(before)
    world.on_exit = "stop"
    world.start()
    world.wait_settled("a", "b")
    assert (world.encoder("a"), world.encoder("b"), world.mediamtx()) == before
    viewer.more(50)
    assert viewer.max_step(2) <= 1.5 * FRAME
    viewer.close()
    world.stop()


def test_stop_while_the_host_is_away(world):
    """Killed again and again it comes back ever later; a stop in between ends it all the same."""
    world.add("a")
    world.wait_settled("a")
    world.kill()
    world.start()  # this one only knows the host by its socket
    world.wait_settled("a")
    for _ in range(12):
        try:
            os.kill(wait(world.host_pid, "a host", 0.4), signal.SIGKILL)
        except Timeout:
            break
    world.stop()
    holds(lambda: not world.ours(), "something came back", 2)


def test_stop_ends_everything(world):
    world.add("a", "b")
    world.wait_settled("a", "b")
    old = world.encoder("a"), world.encoder("b"), world.mediamtx()
    world.stop()
    assert not any(ident(one[0]) == one for one in old)


def test_a_mediamtx_without_a_record_is_adopted(world):
    """The daemon died between starting MediaMTX and writing down that it had."""
    world.add("lobby")
    world.wait_settled("lobby")
    before = ident(world.mediamtx_pid())
    world.kill()
    (world.run / "mediamtx" / "record.json").unlink()
    world.start()
    world.wait_settled("lobby")
    assert ident(world.mediamtx_pid()) == before
