#!/bin/sh
# usage: build-deb.sh BUILD_DIR OUT_DIR VERSION
# Makes OUT_DIR/sluice_VERSION_ARCH.deb out of BUILD_DIR/release/{sluice,sluice-encoder}.
# Depends is computed from the binaries. MediaMTX is not in it (see deploy/README.md).
# SOURCE_DATE_EPOCH is obeyed by dpkg-deb.
set -eu
if [ $# -ne 3 ]; then
    sed -n 's/^# usage/usage/p' "$0" >&2
    exit 64
fi
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$3
case $version in
    [0-9]*) ;;
    *) echo "build-deb.sh: version must start with a digit: $version" >&2; exit 64 ;;
esac
for program in sluice sluice-encoder; do
    if [ ! -x "$build/release/$program" ]; then
        echo "build-deb.sh: $build/release/$program is missing: run make all" >&2
        exit 1
    fi
done

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/debian/sluice
arch=$(dpkg --print-architecture)
doc=$root/usr/share/doc/sluice
chmod 755 "$work"

install -D -m 755 -t "$root/usr/bin" "$build/release/sluice" "$build/release/sluice-encoder"
strip --strip-unneeded "$root/usr/bin/sluice" "$root/usr/bin/sluice-encoder"
install -D -m 644 -t "$root/lib/systemd/system" "$top"/deploy/systemd/*.service
install -D -m 644 "$top/deploy/systemd/sluice.sysusers" "$root/usr/lib/sysusers.d/sluice.conf"
install -D -m 644 "$top/deploy/systemd/sluice.tmpfiles" "$root/usr/lib/tmpfiles.d/sluice.conf"
install -D -m 644 -t "$root/etc/sluice" "$top/deploy/sluice.yaml" "$top/deploy/mediamtx.yml"
install -d -m 755 "$root/srv/streams" "$root/srv/media"
install -D -m 644 "$top/deploy/README.md" "$doc/README.md"
install -D -m 644 "$top/LICENSE" "$doc/copyright"
if [ -d "$top/docs" ]; then
    cp -R "$top/docs" "$doc/docs"
fi
if [ -d "$top/examples" ]; then
    cp -R "$top/examples" "$doc/examples"
fi
chmod -R u=rwX,go=rX "$doc"

# dpkg-shlibdeps wants to stand beside a debian/control.
printf 'Source: sluice\n\nPackage: sluice\nArchitecture: any\n' > "$work/debian/control"
shlibs=$(cd "$work" && dpkg-shlibdeps -O debian/sluice/usr/bin/sluice \
    debian/sluice/usr/bin/sluice-encoder | sed -n 's/^shlibs:Depends=//p')
if [ -z "$shlibs" ]; then
    echo "build-deb.sh: dpkg-shlibdeps found no library" >&2
    exit 1
fi

install -d "$root/DEBIAN"
cat > "$root/DEBIAN/control" <<CONTROL
Package: sluice
Version: $version
Architecture: $arch
Section: video
Priority: optional
Maintainer: The Sluice authors <sluice@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $shlibs, systemd (>= 252) | systemd-standalone-sysusers, systemd (>= 252) | systemd-standalone-tmpfiles
Recommends: git
Description: declarative video streams on MediaMTX
 A daemon that makes the streams described by YAML manifests in a git checkout real, on a
 MediaMTX server, and a host that runs one encoder process a stream. Encoders and viewers outlive
 restarts and upgrades of both.
CONTROL
printf '/etc/sluice/sluice.yaml\n/etc/sluice/mediamtx.yml\n' > "$root/DEBIAN/conffiles"

cat > "$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
systemd-sysusers sluice.conf
systemd-tmpfiles --create sluice.conf || true
install -d -o root -g sluice -m 0750 /etc/sluice/secrets
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # An upgrade ends no stream: daemon and host detach. MediaMTX is left alone.
    if [ -n "$2" ]; then
        systemctl try-restart sluice-encoder.service sluice.service || true
    fi
fi
SCRIPT
cat > "$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
[ "$1" = remove ] || exit 0
if [ -d /run/systemd/system ]; then
    systemctl disable --now sluice.service sluice-encoder.service mediamtx.service || true
    # KillMode=process left the encoders running; a removal means them too.
    systemctl kill --kill-who=all sluice-encoder.service 2>/dev/null || true
fi
SCRIPT
cat > "$root/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
# Recordings, manifests and secrets are the operator's: they stay, also on purge.
if [ "$1" = purge ]; then
    rm -rf /var/lib/sluice /run/sluice
fi
SCRIPT
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"

deb=$out/sluice_${version}_${arch}.deb
dpkg-deb --root-owner-group --build "$root" "$deb" > /dev/null
echo "$deb"
