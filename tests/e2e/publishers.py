# SPDX-License-Identifier: GPL-2.0-or-later
"""Who publishes to a Sluice: ffmpeg over RTMP, SRT and RTSP, with its words kept."""
import subprocess
from urllib.parse import quote

from camera import end, looped

FFMPEG_PROTOCOLS = ("rtmp", "srt", "rtsp")


def target(world, name, protocol, user="", password=""):
    """ffmpeg's output options and address for publishing NAME."""
    host = f"127.0.0.1:{world.port[protocol]}"
    if protocol == "rtmp":
        login = f"?user={quote(user)}&pass={quote(password, safe='')}" if user else ""
        return ["-f", "flv", f"rtmp://{host}/{name}{login}"]
    if protocol == "srt":
        login = f":{user}:{password}" if user else ""
        return ["-srt_streamid", f"publish:{name}{login}", "-f", "mpegts",
                f"srt://{host}?pkt_size=1316"]
    login = f"{quote(user)}:{quote(password, safe='')}@" if user else ""
    return ["-f", "rtsp", "-rtsp_transport", "tcp", f"rtsp://{login}{host}/{name}"]


class Publisher:
    def __init__(self, world, name, protocol, clip, user="", password=""):
        self.process = looped(clip, *target(world, name, protocol, user, password),
                              stderr=subprocess.PIPE)

    def alive(self):
        return self.process.poll() is None

    def ended(self, timeout):
        """It gave up: what it said. None: it is still there."""
        try:
            return self.process.communicate(timeout=timeout)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        end(self.process)
        if self.process.stderr:
            self.process.stderr.close()
