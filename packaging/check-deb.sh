#!/usr/bin/env bash
# Installs the deb of dist/ in a minimal Debian, looks at it, runs it, upgrades, removes and purges it. Needs root and debootstrap; the
# minimal Debian is kept in CACHE (default ~/.cache/deltahook), so that only the first run downloads it. Usage: packaging/check-deb.sh DEB
set -euo pipefail
deb=$(readlink -f "$1")
skip() { echo "package-check: skipped, $1" >&2; exit 0; }
[[ $(id -u) == 0 ]] || skip 'a chroot needs root'
command -v debootstrap >/dev/null || skip 'debootstrap is not installed'

cache=${CACHE:-$HOME/.cache/deltahook}
base=$cache/bookworm-minbase.tar
if [[ ! -f $base ]]; then
	mkdir -p "$cache"
	fresh=$(mktemp -d)
	trap 'rm -rf "$fresh"' EXIT
	debootstrap --variant=minbase bookworm "$fresh" "${MIRROR:-http://deb.debian.org/debian}" >"$cache/debootstrap.log" 2>&1 ||
		skip "Debian cannot be downloaded, see $cache/debootstrap.log"
	tar -C "$fresh" -cf "$base.part" --exclude=./var/cache/apt/archives/*.deb --exclude=./dev/* . && mv "$base.part" "$base"
fi

root=$(mktemp -d)
trap 'rm -rf "$root" ${fresh:-}' EXIT
tar -C "$root" -xf "$base"
mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || true
cp "$deb" "$root/deltahook.deb"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
ok() { echo "package-check: $1"; }
fail() { echo "package-check: $1" >&2; exit 1; }

before=$(inside find / -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -path /var/log -prune -o -print | sort)
inside dpkg -i /deltahook.deb >/dev/null
inside deltahook version
for file in /usr/bin/deltahook /usr/lib/systemd/system/deltahook.service /etc/deltahook/deltahook.toml \
	/usr/share/bash-completion/completions/deltahook /usr/share/zsh/vendor-completions/_deltahook /usr/share/fish/vendor_completions.d/deltahook.fish; do
	inside test -s "$file" || fail "$file is missing"
done
# Minimal systems leave manual pages out when they install; the archive has them.
for page in usr/share/man/man1/deltahook.1.gz usr/share/man/man5/deltahook.toml.5.gz; do
	dpkg-deb --fsys-tarfile "$deb" | tar -xOf - "./$page" | gzip -dc | grep -q '^\.TH ' || fail "$page is no manual page"
done
for process in /proc/[0-9]*; do
	[[ $(readlink "$process/root" 2>/dev/null) != "$root" ]] || fail "it was started: $(tr '\0' ' ' <"$process/cmdline")"
done
ok 'installed, and nothing was started'

# Without a source there is nothing to run: it says so with the code that keeps systemd from trying again.
code=0; inside deltahook check >/tmp/check.$$ 2>&1 || code=$?
cat "/tmp/check.$$"; rm -f "/tmp/check.$$"
[[ $code == 78 ]] || fail "the configuration as shipped gives $code, not 78"
inside cp /usr/share/doc/deltahook/config.toml /etc/deltahook/deltahook.toml
inside deltahook check || fail 'the reference configuration does not pass'
ok 'checks its configuration'

# A configuration that was edited survives an upgrade; state survives a removal, and goes with a purge.
inside sh -c 'echo "# mine" >>/etc/deltahook/deltahook.toml && mkdir -p /var/lib/private/deltahook && touch /var/lib/private/deltahook/deltahook.db && ln -s private/deltahook /var/lib/deltahook'
inside dpkg -i --force-confold /deltahook.deb >/dev/null
inside grep -q '# mine' /etc/deltahook/deltahook.toml || fail 'the upgrade replaced an edited configuration'
inside dpkg -r deltahook >/dev/null
inside test -e /var/lib/private/deltahook/deltahook.db || fail 'a removal took the state'
inside test -e /etc/deltahook/deltahook.toml || fail 'a removal took the configuration'
inside dpkg -P deltahook >/dev/null
after=$(inside find / -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -path /var/log -prune -o -print | sort)
left=$(comm -13 <(echo "$before") <(echo "$after") | grep -v '^/var/lib/private$' || true)
[[ -z $left ]] || fail "the purge left: $left"
ok 'upgraded, removed, purged: nothing is left'
