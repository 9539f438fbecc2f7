# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium as a viewer and as a publisher: MediaMTX's own pages, many of them side by side."""
import contextlib
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from coded import COLUMNS, HEIGHT, ROWS, WIDTH, number

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
         "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
         "--window-size=1400,1000", "--use-fake-ui-for-media-stream",
         "--use-fake-device-for-media-stream"]


@contextlib.contextmanager
def chromium(*flags):
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        try:
            driver.set_script_timeout(60)
            yield driver
        finally:
            driver.quit()


# One iframe a page, all of one origin. What each video shows is noted whenever it has changed.
WATCH = """
const [urls, columns, rows, width, height] = arguments;
document.body.innerHTML = "";
window.seen = {};
window.sound = new AudioContext();
const canvas = document.createElement("canvas");
canvas.width = width; canvas.height = height;
const pen = canvas.getContext("2d", {willReadFrequently: true});
for (const [name, url] of Object.entries(urls)) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = height; frame.src = url;
  document.body.appendChild(frame);
  window.seen[name] = {frames: [], frame: frame, peaks: [], message: ""};
}
function look(one) {
  const page = one.frame.contentDocument;
  const video = page && page.getElementById("video");
  if (!video) return;
  one.message = page.getElementById("message") ? page.getElementById("message").innerText : "";
  if (video.readyState < 2 || !video.videoWidth) return;
  pen.drawImage(video, 0, 0, width, height);
  const data = pen.getImageData(0, 0, width, height).data, pixels = [];
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const at = 4 * (Math.floor((y + 0.5) * height / rows) * width
                      + Math.floor((x + 0.5) * width / columns));
      pixels.push(data[at]);
    }
  const last = one.frames[one.frames.length - 1];
  if (!last || pixels.some((p, i) => Math.abs(p - last[i]) > 12)) one.frames.push(pixels);
  if (!one.ear) {
    const stream = video.srcObject || (video.captureStream && video.captureStream());
    if (stream && stream.getAudioTracks().length) {
      one.ear = window.sound.createAnalyser();
      one.ear.fftSize = 8192;
      window.sound.createMediaStreamSource(stream).connect(one.ear);
    }
  } else {
    const levels = new Float32Array(one.ear.frequencyBinCount);
    one.ear.getFloatFrequencyData(levels);
    let best = 0;
    for (let i = 1; i < levels.length; i++) if (levels[i] > levels[best]) best = i;
    if (levels[best] > -60)
      one.peaks.push(best * window.sound.sampleRate / one.ear.fftSize);
  }
}
window.timer = setInterval(() => { for (const one of Object.values(window.seen)) look(one); }, 25);
"""
SEEN = """
const result = {};
for (const [name, one] of Object.entries(window.seen))
  result[name] = {frames: one.frames, peaks: one.peaks.slice(-20), message: one.message,
                  audio: !!one.ear};
return result;
"""


class Pages:
    """MediaMTX's pages of several streams in one tab, all of one protocol (one origin)."""

    def __init__(self, driver, urls):
        self.driver = driver
        first = next(iter(urls.values()))
        driver.get(first)
        driver.execute_script(WATCH, {name: url + ("&" if "?" in url else "?") + "muted=0"
                                      for name, url in urls.items()},
                              COLUMNS, ROWS, WIDTH, HEIGHT)

    def seen(self):
        found = self.driver.execute_script(SEEN)
        for one in found.values():
            one["frames"] = [number(pixels) for pixels in one["frames"]]
            peaks = sorted(one["peaks"])
            one["hertz"] = peaks[len(peaks) // 2] if peaks else None
        return found

    def watch(self, frames, silent=(), timeout=30, idle=()):
        """Until every stream (but those in `idle`) has shown that many frames, and sounded."""
        end = time.monotonic() + timeout
        while True:
            found = self.seen()
            if all(len(one["frames"]) >= frames and (one["hertz"] or name in silent)
                   for name, one in found.items() if name not in idle):
                return found
            if time.monotonic() > end:
                return found
            time.sleep(0.2)


# The publishing side of WHIP, as in MediaMTX's own page: camera and microphone to a URL.
PUBLISH = """
const [url, user, password, codec, done] = arguments;
(async () => {
  const media = await navigator.mediaDevices.getUserMedia(
      {video: true, audio: {echoCancellation: false, noiseSuppression: false,
                            autoGainControl: false}});
  const peer = window.peer = new RTCPeerConnection();
  for (const track of media.getTracks()) {
    const sender = peer.addTransceiver(track, {direction: "sendonly", streams: [media]});
    if (track.kind === "video" && codec)
      sender.setCodecPreferences(RTCRtpSender.getCapabilities("video").codecs.filter(
          (one) => one.mimeType.toLowerCase() === "video/" + codec));
  }
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((go) => {
    if (peer.iceGatheringState === "complete") go();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && go();
  });
  const headers = {"Content-Type": "application/sdp"};
  if (user) headers.Authorization = "Basic " + btoa(user + ":" + password);
  const answer = await fetch(url, {method: "POST", headers, body: peer.localDescription.sdp});
  if (answer.status !== 201) return {status: answer.status, text: await answer.text()};
  await peer.setRemoteDescription({type: "answer", sdp: await answer.text()});
  return {status: 201, text: ""};
})().then(done, (error) => done({status: 0, text: String(error)}));
"""


def publish(driver, origin, url, user="", password="", codec=""):
    """Publishes the browser's (fake) camera over WHIP: the HTTP status and the text."""
    driver.get(origin)
    return driver.execute_async_script(PUBLISH, url, user, password, codec)


def publishing(driver):
    return driver.execute_script("return window.peer ? window.peer.connectionState : ''")


def stop_publishing(driver):
    driver.execute_script("if (window.peer) window.peer.close();")
