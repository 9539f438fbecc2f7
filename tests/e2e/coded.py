# SPDX-License-Identifier: GPL-2.0-or-later
"""Media that a program can read: whose and which frame, in the picture; whose, in the sound.

A picture has 8 x 6 blocks. The first two rows hold 16 bits, the upper 6 the number of the clip, the
lower 10 that of the frame; the next two rows hold them inverted; the last two move. The sound of
clip N is a tone of tone(N) Hz. So a viewer's frames show the clip, the order, and what was lost.
"""
import fcntl
import math
import subprocess
from array import array

from harness import REPO

COLUMNS, ROWS = 8, 6
WIDTH, HEIGHT, RATE, LOOP = 160, 120, 10, 300
DARK, LIGHT = 40, 215
FRAME = COLUMNS * ROWS  # bytes of a frame scaled down to a pixel a block
SOUND_RATE = 8000       # of the sound that clients are asked for
AUDIO = {"aac": ["-c:a", "aac", "-b:a", "48k"], "opus": ["-c:a", "libopus", "-b:a", "32k"],
         "mp3": ["-c:a", "libmp3lame", "-b:a", "48k", "-ar", "44100"],
         "mp3at48": ["-c:a", "libmp3lame", "-b:a", "48k"], "flac": ["-c:a", "flac"],
         "ac3": ["-c:a", "ac3"], "none": None}
VIDEO = {"h264": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"],
         "bframes": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2"],
         "h265": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                  "log-level=error:bframes=0", "-tag:v", "hvc1"],
         "mpeg2": ["-c:v", "mpeg2video", "-b:v", "400k"],
         "mpeg4": ["-c:v", "mpeg4", "-b:v", "400k"],
         "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-b:v", "200k"],
         "mjpeg": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], "none": None}


def tone(clip):
    return 500 + 70 * clip


def drawn(clip, number, width=WIDTH, height=HEIGHT):
    """A frame as raw gray bytes."""
    value = (clip & 63) << 10 | (number & 1023)
    bits = [value >> (15 - i) & 1 for i in range(16)]
    across = width // COLUMNS
    lines = []
    for row in (bits[:8], bits[8:]):
        lines.append(b"".join(bytes([LIGHT if bit else DARK]) * across for bit in row))
    for row in (bits[:8], bits[8:]):
        lines.append(b"".join(bytes([DARK if bit else LIGHT]) * across for bit in row))
    lines.append(bytes(64 + (x + number * 3) % 128 for x in range(across * COLUMNS)))
    lines.append(bytes(191 - (x + number * 5) % 128 for x in range(across * COLUMNS)))
    pad = bytes([128]) * (width - across * COLUMNS)
    down = height // ROWS
    return b"".join((line + pad) * down for line in lines) + bytes([128]) * width * (height % ROWS)


def number(pixels):
    """(clip, frame) of a frame scaled down to a pixel a block; None when it holds no number."""
    value = 0
    for i in range(16):
        one, other = pixels[i], pixels[i + 16]
        if abs(one - other) < 50:
            return None
        value = value << 1 | (one > other)
    return value >> 10, value & 1023


def coded(clip, name, video="h264", audio="aac", rate=RATE, frames=LOOP, size=(WIDTH, HEIGHT),
          gop=None, options=(), seconds_of_sound=None, tone_hz=None):
    """The path of a clip, made once a machine and kept; the name's ending chooses the container."""
    folder = REPO / "build" / "test-media"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        return path
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path
        part = folder / f"part-{name}"
        command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
        if VIDEO[video]:
            command += ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{size[0]}x{size[1]}", "-r",
                        str(rate), "-i", "-"]
        if AUDIO[audio]:
            length = seconds_of_sound or frames / rate
            command += ["-f", "lavfi", "-t", f"{length:.6f}", "-i",
                        f"sine=frequency={tone_hz or tone(clip)}:sample_rate=48000"]
        if VIDEO[video]:
            command += ["-pix_fmt", "yuv420p", *VIDEO[video], "-g", str(gop or rate)]
        command += AUDIO[audio] or []
        if name.endswith(".mp4") and not any("movflags" in word for word in options):
            command += ["-movflags", "+faststart"]
        command += [*options, str(part)]
        raw = (b"".join(drawn(clip, i, *size) for i in range(frames)) if VIDEO[video] else None)
        done = subprocess.run(command, input=raw, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()[-800:]
        part.rename(path)
    return path


# --- judging what a client saw and heard ----------------------------------------------------------
def loudest(samples, rate=SOUND_RATE, low=300, high=3400):
    """The loudest tone of 16 bit samples in Hz, None when they are (nearly) silent. Goertzel:
    first on a short piece, which is coarse, then around that on all of it."""
    if len(samples) < rate // 5 or max(map(abs, samples), default=0) < 300:
        return None

    def strongest(piece, choices):
        count = len(piece)
        window = [sample * (0.5 - 0.5 * math.cos(2 * math.pi * i / count))
                  for i, sample in enumerate(piece)]

        def power(hertz):
            k = 2 * math.cos(2 * math.pi * hertz / rate)
            a = b = 0.0
            for sample in window:
                a, b = sample + k * a - b, a
            return a * a + b * b - k * a * b
        return max(choices, key=power)
    middle = len(samples) // 2
    coarse = strongest(samples[middle:middle + rate // 25], range(low, high, 20))
    return strongest(samples[:rate // 4], range(coarse - 30, coarse + 31, 2))


def as_samples(data):
    samples = array("h")
    samples.frombytes(data[:len(data) // 2 * 2])
    return samples


def judge_frames(frames, clip, loop=LOOP, most=1, lost=0):
    """Numbers of frames in the order seen: the right clip, forward, no step over `most` but `lost`
    of them. Gives a list of complaints."""
    known = [one for one in frames if one]
    if len(known) < max(3, len(frames) // 2):
        return [f"{len(known)} of {len(frames)} frames have a number"]
    wrong = []
    clips = {one[0] for one in known}
    if clips != {clip}:
        wrong.append(f"frames of clip {sorted(clips)}, not {clip}")
    steps = [(b[1] - a[1]) % loop for a, b in zip(known, known[1:])]
    back = [step for step in steps if step > loop // 2]
    wide = [step for step in steps if most < step <= loop // 2]
    if back:
        wrong.append(f"goes back: {[one[1] for one in known]}")
    if len(wide) > lost:
        wrong.append(f"{len(wide)} steps over {most}: {[one[1] for one in known]}")
    if len({one[1] for one in known}) < 3:
        wrong.append(f"stands still: {[one[1] for one in known]}")
    return wrong


def judge_tone(heard, wanted, tolerance=15):
    """heard: Hz, or None for silence; wanted likewise."""
    if wanted is None:
        return [] if heard is None else [f"sound of {heard} Hz where none should be"]
    if heard is None:
        return [f"silence, not {wanted} Hz"]
    return [] if abs(heard - wanted) <= tolerance else [f"{heard} Hz, not {wanted} Hz"]
