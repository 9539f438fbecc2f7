# SPDX-License-Identifier: GPL-2.0-or-later
"""What `sluice validate` says about each file (or directory) in examples/broken, to the letter.

The expected text stands beside it, as NAME.txt. UPDATE=1 writes it anew: read the diff then.
"""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BROKEN = ROOT / "examples" / "broken"
SLUICE = ROOT / os.environ.get("BUILD", "build/release") / "sluice"
CASES = sorted(p.name for p in BROKEN.iterdir() if p.suffix == ".yaml" or p.is_dir())
WARNINGS_ONLY = {"b-frames.yaml", "h265.yaml", "open-publish.yaml"}


def validate(*arguments, cwd=BROKEN):
    return subprocess.run(
        [str(SLUICE), "validate", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def expected_file(name):
    return BROKEN / (name.removesuffix(".yaml") + ".txt")


@pytest.mark.parametrize("name", CASES)
def test_broken_example(name):
    done = validate(name)
    assert done.returncode == (0 if name in WARNINGS_ONLY else 1)
    assert done.stderr == ""
    if os.environ.get("UPDATE"):
        expected_file(name).write_text(done.stdout)
    assert done.stdout == expected_file(name).read_text()


def test_no_text_without_its_file():
    assert {p.name for p in BROKEN.glob("*.txt")} == {expected_file(n).name for n in CASES}


def test_no_secret_is_shown():
    """What somebody wrote into a manifest by mistake does not go on into logs and pages."""
    text = (BROKEN / "inline-secret.yaml").read_text()
    shown = validate("inline-secret.yaml").stdout + validate("inline-secret.yaml", "-o", "json").stdout
    for secret in ["Tr0ub4dor", "pa/ss", "w@rd", "d34db33f", "s3cret", "correcthorse"]:
        assert secret in text
        assert secret not in shown


def test_every_place_is_true():
    """Line, column and width of each diagnostic lie within the line they name."""
    report = json.loads(validate("-o", "json").stdout)
    seen = 0
    for file in report["files"]:
        lines = (BROKEN / file["path"]).read_text().split("\n")
        for e in file["errors"]:
            line = lines[e["line"] - 1]
            assert 1 <= e["column"] <= len(line) + 1, e
            assert e["column"] - 1 + e["width"] <= max(len(line), e["column"]), e
            seen += 1
    assert seen > 60


@pytest.mark.parametrize("path", sorted(p.name for p in (ROOT / "examples").glob("*.yaml")))
def test_example_is_valid(path):
    done = validate(path, "--strict", cwd=ROOT / "examples")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": valid\n")


def test_exit_codes(tmp_path):
    assert validate("b-frames.yaml", "--strict").returncode == 3
    assert validate("--wrong").returncode == 64
    assert validate("-o", "xml").returncode == 64
    assert validate(str(tmp_path / "none")).returncode == 1


def test_which_names_are_taken(tmp_path):
    good = (ROOT / "examples" / "file.yaml").read_text()
    (tmp_path / "sub" / ".git").mkdir(parents=True)
    for name in ["a.yaml", "sub/b.yml"]:
        (tmp_path / name).write_text(good.replace("lobby", "n" + name[-5]))
    for name in [".a.yaml", "_a.yaml", "a.yaml~", "s.sops.yaml", "sub/.git/c.yaml", "note.txt"]:
        (tmp_path / name).write_text("broken: [")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    done = validate(".", cwd=tmp_path)
    assert done.stdout == "2 files, 2 streams: valid\n"
    assert done.returncode == 0


def test_json_schema_agrees():
    """Editors see the same: valid examples pass; the faults a schema can express do not."""
    jsonschema = pytest.importorskip("jsonschema")
    yaml = pytest.importorskip("yaml")
    schema = json.loads((ROOT / "schemas" / "sluice-v1.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    for path in (ROOT / "examples").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert not list(validator.iter_errors(document)), path.name
    for name in ["unknown-key", "one-of", "no-source", "missing", "enums", "unknown-kind", "paths",
                 "null-values", "list-for-map", "other-version", "not-a-manifest", "protocols"]:
        for document in yaml.safe_load_all((BROKEN / f"{name}.yaml").read_text()):
            assert list(validator.iter_errors(document)), name
