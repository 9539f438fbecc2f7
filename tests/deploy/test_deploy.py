"""Units, Compose file, package, and adoption across containers. Run by `make check-deploy` only.

BUILD (default build) is where release/sluice, release/sluice-encoder and mediamtx/mediamtx lie.
The last test needs a Docker engine and IMAGES_BUILT=1: the images that `docker-compose build` makes
in deploy/. It runs in a Compose project of its own, on the machine's network.
"""
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DEPLOY = TOP / "deploy"
BUILD = Path(os.environ.get("BUILD", TOP / "build")).resolve()
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def sh(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, **more)


def ok(*argv, **more):
    done = sh(*argv, **more)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def compose_argv():
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and sh("docker", "compose", "version").returncode == 0:
        return ["docker", "compose"]
    pytest.skip("neither docker-compose nor docker compose is installed")


def test_units_verify(tmp_path):
    need("systemd-analyze")
    for unit in UNITS:  # verify wants the programs to exist: they are checked by the package test
        text = re.sub(r"/usr/bin/(sluice-encoder|sluice|mediamtx)\b", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    done = sh("systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir())))
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert done.returncode == 0 and not ours, done.stderr


def test_encoders_outlive_their_units():
    assert len(UNITS) == 3
    text = {u.stem: u.read_text() for u in UNITS}
    for name in ("sluice", "sluice-encoder"):
        assert re.search(r"^KillMode=process$", text[name], re.M)
    for name in text:  # each of these would wipe records or pull one unit down with another
        assert not re.search(r"^(RuntimeDirectory|Requires|BindsTo|PartOf)=", text[name], re.M), name
    assert "OPENBLAS_NUM_THREADS=1" in text["sluice-encoder"]
    assert "OMP_NUM_THREADS=1" in text["sluice-encoder"]


def test_users_and_directories(tmp_path):
    need("systemd-sysusers")
    need("systemd-tmpfiles")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "etc").mkdir()
    ok("systemd-sysusers", f"--root={tmp_path}", str(DEPLOY / "systemd/sluice.sysusers"))
    ok("systemd-tmpfiles", f"--root={tmp_path}", "--create", str(DEPLOY / "systemd/sluice.tmpfiles"))
    assert oct((tmp_path / "run/sluice/enc").stat().st_mode & 0o7777) == "0o2770"
    assert oct((tmp_path / "srv/recordings").stat().st_mode & 0o7777) == "0o2775"


def test_mediamtx_reads_the_template(tmp_path):
    mediamtx = BUILD / "mediamtx/mediamtx"
    if not mediamtx.exists():
        pytest.skip(f"{mediamtx} is missing: run make mediamtx")
    text = (DEPLOY / "mediamtx.yml").read_text()
    # Everything that listens goes off: only the reading is under test.
    text = re.sub(r"^(api|playback|rtsp|rtmp|hls|webrtc|srt): yes$", r"\1: no", text, flags=re.M)
    config = tmp_path / "mediamtx.yml"
    config.write_text(text)
    process = subprocess.Popen([mediamtx, config], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        time.sleep(1)
        assert process.poll() is None, process.stdout.read()
    finally:
        process.terminate()
        process.wait(10)


def test_package(tmp_path):
    need("dpkg-shlibdeps")
    for program in ("sluice", "sluice-encoder"):
        if not (BUILD / "release" / program).exists():
            pytest.skip(f"release/{program} is missing: run make all")
    deb = ok(DEPLOY / "build-deb.sh", BUILD, tmp_path, "0.0.1").strip()
    assert "libc6" in ok("dpkg-deb", "-f", deb, "Depends")
    listing = ok("dpkg-deb", "-c", deb)
    for line in listing.splitlines():
        assert line.split()[1] == "root/root", line
    for name in ("usr/bin/sluice", "usr/bin/sluice-encoder", "lib/systemd/system/sluice.service",
                 "usr/lib/sysusers.d/sluice.conf", "usr/lib/tmpfiles.d/sluice.conf",
                 "etc/sluice/sluice.yaml", "usr/share/doc/sluice/copyright"):
        assert re.search(rf" \./{re.escape(name)}$", listing, re.M), name


def test_compose_parses():
    out = ok(*compose_argv(), "-f", str(DEPLOY / "compose.yaml"), "config")
    for service in ("sluice:", "encoders:", "mediamtx:"):
        assert re.search(rf"^  {service}$", out, re.M), service


def test_host_killed_under_the_loop_comes_back(tmp_path):
    host = tmp_path / "host"
    host.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 60\n")
    host.chmod(0o755)
    loop = subprocess.Popen([DEPLOY / "container/keep-host.sh", host], stderr=subprocess.DEVNULL)

    def pids(count):
        for _ in range(100):
            if (tmp_path / "pids").exists():
                found = (tmp_path / "pids").read_text().split()
                if len(found) >= count:
                    return found
            time.sleep(0.1)
        raise AssertionError(f"host was not started {count} times")

    try:
        os.kill(int(pids(1)[0]), 9)
        second = int(pids(2)[1])
    finally:
        loop.terminate()
    assert loop.wait(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


# A test pattern needs no input file.
STREAM = """apiVersion: sluice/v1
kind: Stream
metadata: {name: adopt}
spec:
  source: {test: {}}
"""

# The host is the loop's one child. Its encoders have the same command line, so that tells nothing.
KILL_HOST = """
for p in /proc/[0-9]*; do
    case $(tr '\\0' ' ' < $p/cmdline 2>/dev/null) in
    "/bin/sh /usr/lib/sluice/keep-host.sh "*) loop=${p#/proc/} ;;
    esac
done
for p in /proc/[0-9]*; do
    set -- $(sed 's/.*) //' $p/stat 2>/dev/null)
    [ "${2-}" = "$loop" ] && kill -9 ${p#/proc/} && exit 0
done
exit 1
"""


def test_adoption_across_containers(tmp_path):
    need("docker")
    if sh("docker", "info").returncode != 0:
        pytest.skip("no Docker engine answers")
    if os.environ.get("IMAGES_BUILT") != "1":
        pytest.skip("set IMAGES_BUILT=1 after docker-compose build in deploy/")
    for name in ("streams", "media", "secrets"):
        (tmp_path / name).mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    (tmp_path / "streams/adopt.yaml").write_text(STREAM)
    env = dict(os.environ, SLUICE_STREAMS=str(tmp_path / "streams"),
               SLUICE_MEDIA=str(tmp_path / "media"), SLUICE_SECRETS=str(tmp_path / "secrets"))
    base = [*compose_argv(), "-p", "sluice-check", "-f", str(DEPLOY / "compose.yaml")]

    def compose(*argv):
        return ok(*base, *argv, env=env)

    def encoder():  # pid and start time, as the encoders' own container sees them
        return compose("exec", "-T", "encoders", "sh", "-c",
                       "grep -ho '\"\\(pid\\|uid\\|generation\\)\":[^,}]*' /run/sluice/enc/*/record.json")

    def ready():
        compose("exec", "-T", "sluice", "sluice", "wait", "--for", "Ready", "--timeout", "60s")

    try:
        compose("up", "-d", "--no-build")
        ready()
        before = encoder()
        assert before
        compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", "sluice")
        ready()
        assert encoder() == before, "recreating the daemon's container changed the encoder"
        compose("exec", "-T", "encoders", "sh", "-c", KILL_HOST)
        time.sleep(3)
        ready()
        assert encoder() == before, "killing the host process changed the encoder"
    finally:
        sh(*base, "down", "-v", env=env)
