# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of failures, all tried at once in one World: each row is a stream of its own that fails,
is told of, is mended, and plays again. What happened is noted row by row; the tests read it."""
import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

from camera import PASSWORD, Camera, secrets
from clients import watch
from coded import coded, tone
from harness import SLOW, World, stream

CLIP = "coded-01.mp4"
ENCODE = {"copy": {"copy": {}},
          "transcode": {"transcode": {"video": {"preset": "ultrafast", "keyframeInterval": "1s"}}}}


@dataclass(eq=False)
class Row:
    failure: str        # words; with `how` the stream's name
    how: str            # copy | transcode
    source: Callable    # table, row → the manifest's source; makes what it needs
    reason: str         # regular expressions: Ready's reason and message
    text: str
    within: float       # seconds until it is told
    mend: Callable = lambda table, row: None
    back: float = 15    # seconds from the mending until it is Ready
    fail: Callable = None  # table, row: what goes wrong while it plays
    restarts: int = 0   # of an encoder, that it may cost
    same: bool = True   # the encoder is not replaced, when there is one

    @property
    def name(self):
        return f"{self.failure} {self.how}".replace(" ", "-")

    def __str__(self):
        return self.name


class Table:
    def __init__(self, rows, playing, cameras, extra_secrets=(), prepare=None):
        """cameras: name → arguments of Camera; `playing`: all are well first, then they fail."""
        self.rows, self.playing = rows, playing
        self.told, self.ready, self.complaints, self.last = {}, {}, {}, {}
        self.stack = contextlib.ExitStack()
        self.leaks = set()
        try:
            coded(1, CLIP)
            self.world = World(media=(CLIP,))
            self.stack.callback(self._close_world)
            self.cameras = {}
            known = dict(extra_secrets)
            for name, (args, kwargs) in cameras.items():
                self.cameras[name] = self.stack.enter_context(
                    contextlib.closing(Camera(*args, **kwargs)))
                known.update(self.cameras[name].secrets_of())
            secrets(self.world, **known)
            if prepare:
                prepare(self)
            self._run()
        except BaseException:
            self.stack.close()
            raise

    def _close_world(self):
        self.faults = self.world.close()

    def close(self):
        self.stack.close()
        assert not self.faults, self.faults

    def _run(self):
        world = self.world
        world.start()
        world.add("beside", source={"file": {"path": CLIP}})
        world.wait_settled("beside")
        self.beside = world.encoder("beside")
        began = time.monotonic()
        for row in self.rows:
            world.write(f"{row.name}.yaml", stream(row.name, source=row.source(self, row),
                                                   encode=ENCODE[row.how]))
        if self.playing:
            world.wait_settled(*(row.name for row in self.rows), timeout=30)
            self.encoders = {row.name: world.encoder(row.name) for row in self.rows}
            began = time.monotonic()
            for row in self.rows:
                row.fail(self, row)
        self._watch(began, self.told, self._is_told, {row: row.within for row in self.rows
                                                      if row.reason})
        self._leaks()
        began = time.monotonic()
        for row in self.rows:
            row.mend(self, row)
        self._watch(began, self.ready, lambda row, one: world.ready(one),
                    {row: row.back for row in self.rows})
        self.after = world.status()
        with ThreadPoolExecutor(6) as pool:
            for row, wrong in zip(self.rows, pool.map(self._play, self.rows)):
                self.complaints[row.name] = wrong
        self.beside_after = world.encoder("beside")

    def _watch(self, began, noted, is_true, waiting):
        waiting = dict(waiting)
        while waiting:
            streams = {one["name"]: one for one in self.world.status()["streams"]}
            now = time.monotonic() - began
            for row, bound in list(waiting.items()):
                one = streams.get(row.name)
                if one and is_true(row, one):
                    noted[row.name] = now
                    del waiting[row]
                elif now > bound * SLOW:
                    self.last[row.name] = self.world.reasons(row.name) if one else "no stream"
                    del waiting[row]
            time.sleep(0.1)

    @staticmethod
    def _is_told(row, one):
        """By the condition Ready."""
        for condition in one["conditions"]:
            if condition["type"] == "Ready" and condition["status"] == "False":
                return (re.fullmatch(row.reason, condition["reason"])
                        and re.search(row.text, condition["message"], re.I | re.S))
        return False

    def _leaks(self):
        for where in ("/", "/api/v1/status", "/metrics", "/api/v1/desired"):
            text = self.world.get(where).text
            if PASSWORD in text or "p%40ss" in text:
                self.leaks.add(where)

    def _play(self, row):
        if row.name not in self.ready:
            return ["it is not ready"]
        for _ in range(2):  # MediaMTX's pull of a fresh HLS playlist may stumble once
            wrong = watch(self.world.url(row.name), 1, tone(1), frames=12, most=3, lost=3)
            if not wrong or "hls" not in row.name:
                break
            self.world.wait_settled(row.name, timeout=15)
        return wrong

    # --- what the tests ask ---
    def check_told(self, row):
        assert row.name in self.told, (f"not within {row.within} s: {row.reason}: {row.text}; is: "
                                       f"{self.last.get(row.name)}")

    def check_back(self, row):
        assert row.name in self.ready, (f"not Ready {row.back} s after it was mended; is: "
                                        f"{self.last.get(row.name)}")
        assert not self.complaints[row.name], self.complaints[row.name]
        one = self.world.stream(row.name, self.after)
        assert one["encoder"]["restarts"] <= row.restarts, one["encoder"]
        if self.playing and row.same:
            before = self.encoders[row.name]
            assert (before or (None,))[0] == one["encoder"]["pid"], "the encoder was replaced"

    def times(self):
        return "\n".join(f"{row.name:32} told {self.told.get(row.name, -1):6.1f} s   "
                         f"back {self.ready.get(row.name, -1):6.1f} s" for row in self.rows)
