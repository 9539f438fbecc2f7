# SPDX-License-Identifier: GPL-2.0-or-later
"""Ten streams and a seeded history of faults; at the end all is well and nothing is left.

    pytest tests/chaos --faults 200 --seed 7      one long history
    pytest tests/chaos --soak 30                  faults for half an hour
"""
import os
import random
import signal
import time

import psutil

from harness import SLOW, ident, stream, wait

STREAMS = 10


class Chaos:
    def __init__(self, world, seed):
        self.world = world
        self.random = random.Random(seed)
        self.names = [f"s{i}" for i in range(STREAMS)]
        self.extra = 0
        self.deleted = 0
        self.paused = []
        self.first = self.kinds()[:8]  # each once, in an order of its own
        self.random.shuffle(self.first)
        world.add(*self.names)

    def some_encoder(self):
        alive = sorted((record["name"], record["pid"]) for record in self.world.records()
                       if ident(record["pid"]))
        return self.random.choice(alive)[1] if alive else None

    # --- faults ---
    def encoder_killed(self):
        pid = self.some_encoder()
        if pid:
            os.kill(pid, signal.SIGKILL)

    def encoder_paused(self):
        """For less or more than it takes to be held stuck."""
        pid = self.some_encoder()
        if pid:
            self.paused.append((ident(pid), time.monotonic() + self.random.choice((0.3, 7)) * SLOW))
            os.kill(pid, signal.SIGSTOP)

    def host_killed(self):
        try:
            os.kill(self.world.host_pid(), signal.SIGKILL)
        except OSError:  # between two hosts
            pass

    def daemon_killed(self):
        self.world.kill()
        self.world.start()

    def mediamtx_killed(self):
        pid = self.world.mediamtx_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)

    def bad_file(self):
        name = self.random.choice(self.names)
        self.world.write(f"{name}.yaml", self.random.choice(["", "kind: [", "a: *b\n", "\0"]))

    def mended(self):
        for name in self.names:
            path = self.world.streams / f"{name}.yaml"
            if path.read_text() != stream(name):
                self.world.add(name)

    def added(self):
        self.extra += 1
        self.names.append(f"x{self.extra}")
        self.world.add(self.names[-1])

    def deleted_one(self):
        """Few enough for the guard to let them pass."""
        extras = [name for name in self.names if name.startswith("x")]
        if extras and self.deleted < 2:
            self.deleted += 1
            name = self.random.choice(extras)
            self.names.remove(name)
            self.world.remove(f"{name}.yaml")

    def go_on(self, everything=False):
        for one in list(self.paused):
            (process, until) = one
            if everything or time.monotonic() >= until:
                self.paused.remove(one)
                if ident(process[0]) == process:
                    os.kill(process[0], signal.SIGCONT)

    def kinds(self):
        return [self.encoder_killed, self.encoder_paused, self.host_killed, self.daemon_killed,
                self.mediamtx_killed, self.bad_file, self.added, self.deleted_one, self.mended]

    def fault(self, number):
        kind = (self.first[number] if number < len(self.first)
                else self.random.choice(self.kinds()))
        kind()
        return kind.__name__


def pause(chaos, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        chaos.go_on()
        time.sleep(0.01)


def well(world, names):
    status = world.status()
    streams = {one["name"]: one for one in status["streams"]}
    if set(streams) != set(names) or not all(map(world.ready, streams.values())):
        return False
    paths = world.paths()
    if set(paths) != set(names) or not all(paths[name]["ready"] for name in names):
        return False
    alive = sorted(record["name"] for record in world.records()
                   if ident(record["pid"]) and not record.get("exit"))
    return alive == sorted(names) and not any(file["errors"] for file in status["files"])


def test_chaos(make_world, request):
    option = request.config.getoption
    world = make_world(protocols=("rtsp", "rtmp")).start()
    chaos = Chaos(world, option("--seed"))
    wait(lambda: well(world, chaos.names), "all streams run at the start", 20)
    end = time.monotonic() + option("--soak") * 60
    history, number, descriptors = [], 0, None
    try:
        while number < option("--faults") or time.monotonic() < end:
            assert world.process.poll() is None, "the daemon ended"
            history.append(chaos.fault(number))
            number += 1
            pause(chaos, chaos.random.uniform(0.05, 1.0) * SLOW)
            if number % 25 == 0:  # between two storms all must come to rest
                chaos.mended()
                pause(chaos, 0)
                chaos.go_on(everything=True)
                wait(lambda: well(world, chaos.names), f"well after {history[-25:]}", 120)
                now = psutil.Process(world.process.pid).num_fds()
                assert descriptors is None or now <= descriptors + 64, "descriptors leak"
                descriptors = min(descriptors or now, now)
        chaos.mended()
        chaos.go_on(everything=True)
        wait(lambda: well(world, chaos.names), f"well after {history}", 120)
    except AssertionError:
        print("history:", " ".join(history))
        print([f"{one['name']}: {world.reasons(one['name'])}" for one in world.status()["streams"]
               if not world.ready(one)][:5])
        raise
    world.reader(chaos.names[0]).more(50)
    for reader in world.readers:
        reader.close()
    print(f"{number} faults: {' '.join(history)}")
    world.stop()
