# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs and their exit codes (docs: 0 fine, 1 not, 2 differs, 3, 64 usage, 78 host settings)."""
import json

import pytest

from harness import config, run_cli, stream, wait


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "a.yaml").write_text(stream("a"))
    (tmp_path / "b.yaml").write_text(stream("b", source={"test": {"size": "320x180"}}))
    return tmp_path


def test_version():
    done = run_cli("version")
    assert done.returncode == 0 and done.stdout.startswith("sluice ")


@pytest.mark.parametrize("arguments", [
    (), ("nonsense",), ("version", "extra"), ("validate", "--nonsense"), ("plan", "--nonsense"),
    ("status", "--nonsense"), ("schema", "--nonsense"), ("run", "--nonsense"),
    ("validate", "-o", "nonsense"), ("status", "-o", "nonsense")])
def test_usage_errors(arguments):
    done = run_cli(*arguments)
    assert done.returncode == 64, done
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("verb", ["run", "validate", "plan", "status", "schema"])
def test_help(verb):
    done = run_cli(verb, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout


def test_validate(tree):
    done = run_cli("validate", tree)
    assert done.returncode == 0, done
    bad = tree / "bad.yaml"
    bad.write_text(stream("c") + "  suspendd: true\n")
    done = run_cli("validate", tree)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "bad.yaml:" in text and "suspendd" in text and "suspend" in text
    assert run_cli("validate", bad).returncode == 1
    assert run_cli("validate", tree / "a.yaml").returncode == 0
    assert run_cli("validate", tree / "nowhere").returncode in (1, 64)


def test_validate_finds_names_given_twice(tree):
    (tree / "c.yaml").write_text(stream("a"))
    done = run_cli("validate", tree)
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "a.yaml" in text and "c.yaml" in text


def test_schema():
    done = run_cli("schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    assert "draft-07" in schema["$schema"]


def test_plan_between_trees(tree, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    for name in "abcdef":
        (base / f"{name}.yaml").write_text(stream(name))
    same = run_cli("plan", base, "--base", base, "--detailed-exitcode")
    assert same.returncode == 0, same
    new = tmp_path_factory.mktemp("new")
    for name in "abcdef":
        (new / f"{name}.yaml").write_text(stream(name))
    (new / "g.yaml").write_text(stream("g"))
    changed = run_cli("plan", new, "--base", base, "--detailed-exitcode")
    assert changed.returncode == 2 and "g" in changed.stdout, changed
    assert run_cli("plan", new, "--base", base).returncode == 0
    for name in "bcdef":
        (new / f"{name}.yaml").unlink()
    held = run_cli("plan", new, "--base", base, "--detailed-exitcode")
    assert held.returncode == 4, held
    (new / "bad.yaml").write_text("apiVersion: 1\n")
    assert run_cli("plan", new, "--base", base).returncode == 1


def test_status_without_a_daemon(tmp_path):
    done = run_cli("status", "--server", "http://127.0.0.1:9")
    assert done.returncode == 1 and done.stderr


def test_against_the_daemon(world):
    server = ("--server", world.address)
    world.add("a", "b")
    world.wait_settled("a", "b")
    done = run_cli("status", *server)
    assert done.returncode == 0, done
    assert "a" in done.stdout and "b" in done.stdout
    parsed = json.loads(run_cli("status", "-o", "json", *server).stdout)
    assert parsed
    assert run_cli("status", "a", *server).returncode == 0
    assert run_cli("status", "nobody", *server).returncode == 1
    same = run_cli("plan", world.streams, "--detailed-exitcode", *server)
    assert same.returncode == 0, same
    world.add("late", source={"file": {"path": "late.mp4"}})
    wait(lambda: world.stream("late"), "it is seen")
    done = run_cli("status", *server)
    assert done.returncode == 2 and "late" in done.stdout, done
    world.write("config.yaml", config([]))
    world.wait_seen()
    for name in ("a", "b", "late"):
        world.remove(f"{name}.yaml")
    wait(lambda: world.status()["summary"]["heldDeletes"] >= 2, "held")
    held = run_cli("plan", "--detailed-exitcode", *server)
    assert held.returncode == 4, held
    assert world.status()["plan"]["id"] in held.stdout


def test_over_the_unix_socket(world):
    world.add("a")
    world.wait_settled("a")
    done = run_cli("status", env={"SLUICE_RUNTIME": str(world.run)})
    assert done.returncode == 0 and "a" in done.stdout, done


def test_plan_reads_every_source_back(world):
    """What the daemon says it runs is a manifest again: nothing to do against the same tree."""
    world.add("file", encode={"transcode": {}})
    world.add("cam", source={"rtsp": {"url": "rtsp://127.0.0.1:9/x"}})
    world.add("relay", source={"pull": {"url": "srt://127.0.0.1:9"}}, encode={"transcode": {}})
    world.add("studio", source={"publish": {"protocols": ["rtmp"], "username": "obs",
                                            "passwordRef": {"name": "obs-key"}}})
    world.wait_seen()
    wait(lambda: len(world.status()["streams"]) == 4, "all are seen")
    server = ("--server", world.address)
    same = run_cli("plan", world.streams, "--detailed-exitcode", *server)
    assert same.returncode == 0 and "nothing to do" in same.stdout, same


def test_plan_tells_who_drops(tmp_path_factory):
    base, new = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("new")
    publish = {"publish": {"username": "obs", "passwordRef": {"name": "obs-key"}}}
    (base / "studio.yaml").write_text(stream("studio", source=publish))
    (new / "studio.yaml").write_text(stream("studio", source=publish, encode={"transcode": {}}))
    for name in "abc":
        (base / f"{name}.yaml").write_text(stream(name, protect=True))
    (base / "d.yaml").write_text(stream("d"))
    text = run_cli("plan", new, "--base", base).stdout
    assert "publishers must then use NAME/ingest" in text
    assert "own history" in text
    told = json.loads(run_cli("plan", new, "--base", base, "-o", "json").stdout)
    assert [one["stream"] for one in told["break"]] == ["studio"]
    assert "NAME/ingest" in told["break"][0]["reason"] and told["break"][0]["viewers"] == 0
    # the protected ones are held by themselves, and do not make one deletion a mass of them
    assert [one["stream"] for one in told["held"]] == ["a", "b", "c"]
    assert [one["stream"] for one in told["delete"]] == ["d"] and told["id"] is None
