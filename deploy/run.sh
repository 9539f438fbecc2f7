#!/bin/bash
# make run: Sluice and MediaMTX on examples/, with media that is made here, all under build/run and
# on free ports. Ctrl-C ends all of it.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/build/release
run=$PWD/build/run
mkdir -p "$run"/{streams,media,recordings,state,runtime,camera}
mkdir -p -m 0700 "$run/secrets"
exec 9>"$run/lock"
if ! flock -n 9; then
    echo "make run is running already here; end that one first (Ctrl-C there)" >&2
    exit 1
fi

free_ports() {
    /usr/bin/python3 - "$1" <<'PY'
import socket, sys
held = []
for _ in range(int(sys.argv[1])):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    held.append(s)
print(*[s.getsockname()[1] for s in held])
PY
}

# Sample media, made once by our own encoder out of its test pictures.
make_media() {
    local name=$1 pattern=$2 size=$3 seconds=$4 tone=$5
    [[ -e $run/media/$name ]] && return
    echo "making $name ($size, $seconds s)"
    "$bin/sluice-encoder" run - --output "$run/media/$name.part.mp4" --duration "$seconds" <<JSON
{"uid":"0000000000000000","name":"sample","source":"test","test":{"pattern":"$pattern",
"width":${size%x*},"height":${size#*x},"rate":25,"tone":$tone},"mode":"transcode",
"video":{"codec":"h264","preset":"veryfast","bitrate":1000000,"keyframeInterval":2000},
"audio":{"codec":"aac","bitrate":128000,"channels":2,"sampleRate":48000}}
JSON
    mv "$run/media/$name.part.mp4" "$run/media/$name"
}
make_media lobby.mp4 smpte 1280x720 20 440
mkdir -p "$run/media/promos"
make_media promos/summer.mp4 counter 1280x720 20 880

# Links, so that an edit of an example is seen at once; examples/broken stays out.
find "$run/streams" -type l -delete
for manifest in examples/*.yaml; do
    ln -s "$PWD/$manifest" "$run/streams/$(basename "$manifest")"
done

read -r api rtsp rtmp hls webrtc webrtcudp srt page < <(free_ports 8)
cat >"$run/mediamtx-template.yml" <<YAML
logLevel: info
api: yes
apiAddress: 127.0.0.1:$api
rtsp: yes
rtspTransports: [tcp]
rtspAddress: 127.0.0.1:$rtsp
rtmp: yes
rtmpAddress: 127.0.0.1:$rtmp
hls: yes
hlsAddress: 127.0.0.1:$hls
webrtc: yes
webrtcAddress: 127.0.0.1:$webrtc
webrtcLocalUDPAddress: 127.0.0.1:$webrtcudp
srt: yes
srtAddress: 127.0.0.1:$srt
moq: no
YAML
cat >"$run/sluice.yaml" <<YAML
manifests: $run/streams
media: $run/media
recordings: $run/recordings
state: $run/state
runtime: $run/runtime
secrets: [$run/secrets]
listen: 127.0.0.1:$page
onExit: stop
encoders: {binary: $bin/sluice-encoder}
public: {host: 127.0.0.1}
mediamtx:
  managed: true
  binary: $PWD/build/mediamtx/mediamtx
  template: $run/mediamtx-template.yml
  api: http://127.0.0.1:$api
YAML

# A camera of our own: a second MediaMTX, where the manifests camera.yaml and pull.yaml look for one,
# fed by an encoder in the foreground. And somebody who publishes to publish.yaml's stream.
secret() {
    [[ -s $run/secrets/$1 ]] ||
        (umask 077 && od -An -N 12 -tx1 /dev/urandom | tr -d ' \n' >"$run/secrets/$1")
    cat "$run/secrets/$1"
}
cam_pass=$(secret cam-pass)
obs_key=$(secret obs-key)
(umask 077 && cat >"$run/camera/mediamtx.yml") <<YAML
logLevel: warn
rtspTransports: [tcp]
rtspAddress: 127.0.0.1:18554
hls: yes
hlsAddress: 127.0.0.1:18888
hlsAlwaysRemux: yes
hlsVariant: fmp4
rtmp: no
webrtc: no
srt: no
moq: no
authInternalUsers:
  - user: admin
    pass: $cam_pass
    permissions: [{action: publish}, {action: read}]
paths: {yard: {}}
YAML
# publisher URL USER PASSWORD PATTERN: sends a test picture for ever, again when it is refused.
publisher() {
    exec "$bin/sluice-encoder" run - --runtime "$run/camera" 2>>"$run/camera/$5.log" <<JSON
{"uid":"$6","name":"$5","source":"test","test":{"pattern":"$4","width":640,"height":360,"rate":15,
"tone":330},"mode":"transcode","video":{"codec":"h264","preset":"ultrafast","bitrate":600000,
"keyframeInterval":1000},"audio":{"codec":"aac","bitrate":96000,"channels":1,"sampleRate":48000},
"publish":{"url":"$1","username":"$2","password":"$3"}}
JSON
}
own=()
"$PWD/build/mediamtx/mediamtx" "$run/camera/mediamtx.yml" >"$run/camera/mediamtx.log" 2>&1 9>&- &
own+=($!)
publisher rtsp://127.0.0.1:18554/yard admin "$cam_pass" counter yard 00000000000000ca 9>&- &
own+=($!)
publisher "rtsp://127.0.0.1:$rtsp/studio/obs" obs "$obs_key" bars studio 00000000000000cb 9>&- &
own+=($!)

"$bin/sluice" run --config "$run/sluice.yaml" 2>"$run/sluice.log" 9>&- &
daemon=$!
trap 'kill -TERM "$daemon" "${own[@]}" 2>/dev/null' INT TERM
trap 'kill -TERM "${own[@]}" 2>/dev/null || true' EXIT
echo "waiting until every example is settled (log: build/run/sluice.log)"
deadline=$((SECONDS + 60))
until "$bin/sluice" status --socket "$run/runtime/http.sock" >"$run/status.txt" 2>/dev/null; do
    if ! kill -0 "$daemon" 2>/dev/null; then
        cat "$run/sluice.log" >&2
        echo "sluice ended: see above" >&2
        exit 1
    fi
    if ((SECONDS > deadline)); then
        echo "not everything is settled after 60 s; going on" >&2
        break
    fi
    read -rt 0.1 <> <(:) || true
done
"$bin/sluice" status --socket "$run/runtime/http.sock" || true
cat <<TEXT

page:   http://127.0.0.1:$page/
watch:  ffplay -rtsp_transport tcp rtsp://127.0.0.1:$rtsp/NAME
        http://127.0.0.1:$webrtc/NAME (WebRTC)   http://127.0.0.1:$hls/NAME/ (HLS)
edit:   examples/*.yaml, and see the page change
stop:   Ctrl-C
TEXT
while kill -0 "$daemon" 2>/dev/null; do
    wait "$daemon" || true
done
