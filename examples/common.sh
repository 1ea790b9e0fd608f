# What the run.sh of the examples have in common: they source this file. Each starts a real system of its own in one temporary
# folder and on the loopback interface, follows it with deltahook, and ends what it started, by process id.
#
#   DELTAHOOK=/path/to/deltahook examples/NAME/run.sh      (default: built from this checkout)
# shellcheck shell=bash
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
chmod 711 "$work"
started=() # what was started, in order; these processes are ended and no others
kept=      # a file to remove

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

finish() {
	local code=$? i
	trap - EXIT
	for ((i = ${#started[@]} - 1; i >= 0; i--)); do
		kill -TERM "${started[i]}" 2>/dev/null || true
		wait "${started[i]}" 2>/dev/null || true
	done
	[[ -z $kept ]] || as_root rm -f "$kept"
	[[ $code == 0 ]] || tail -n 20 "$work"/*.log >&2 2>/dev/null || true
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# start LOG COMMAND…: runs a program in the background until this script ends.
start() { # not with a function: what would be ended is its shell
	local log=$1
	shift
	"$@" >"$work/$log.log" 2>&1 &
	started+=($!)
}

# stop PID: ends a program that this script started.
stop() {
	local pid others=()
	kill -TERM "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
	for pid in "${started[@]}"; do [[ $pid == "$1" ]] || others+=("$pid"); done
	started=("${others[@]}")
}

# until_true SECONDS WHAT COMMAND…: waits until COMMAND succeeds.
until_true() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || fail "$what: not within the time allowed"
		sleep 0.2
	done
}

# needs COMMAND=PACKAGE…: installs the Debian packages of commands that are missing, without starting their services.
needs() {
	local pair packages=()
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || [[ -e ${pair%%=*} ]] || packages+=("${pair##*=}")
	done
	((${#packages[@]} > 0)) || return 0
	command -v apt-get >/dev/null || fail "install ${packages[*]} first: this script knows apt-get only"
	say "installing ${packages[*]}"
	# Debian asks policy-rc.d whether a package may start its service: this one may not.
	if [[ ! -e /usr/sbin/policy-rc.d ]]; then
		kept=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$kept" >/dev/null
		as_root chmod 755 "$kept"
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	[[ -z $kept ]] || as_root rm -f "$kept"
	kept=
}

# ports PORT…: fails when something listens already.
ports() {
	local port
	for port in "$@" 8080 9644; do
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			fail "something listens on port $port already; stop it, or use config.toml with your own system as the README says"
		fi
	done
}

build_deltahook() {
	if [[ -n ${DELTAHOOK:-} ]]; then
		DELTAHOOK=$(realpath "$DELTAHOOK")
		return
	fi
	say 'building deltahook'
	DELTAHOOK=$work/deltahook
	(cd "$here/../.." && CGO_ENABLED=0 go build -buildvcs=false -o "$DELTAHOOK" ./cmd/deltahook)
}

# follow EVENTS SOURCES: starts a receiver that ends after so many verified webhooks, and the daemon, and waits for the baseline.
follow() {
	local events=$1 sources=$2
	export DELTAHOOK_CONFIG=$here/config.toml
	WEBHOOK_SECRET=$("$DELTAHOOK" secret)
	export WEBHOOK_SECRET
	cd "$work" # the store goes there
	say 'starting deltahook: a receiver that verifies, and the daemon'
	"$DELTAHOOK" check
	"$DELTAHOOK" listen -n "$events" >"$work/webhooks" 2>"$work/listen.log" &
	listener=$!
	started+=("$listener")
	"$DELTAHOOK" run 2>"$work/deltahook.log" &
	started+=($!)
	baselined() { [[ $("$DELTAHOOK" status --json | grep '^{"source"' | grep -c '"state":"ok"') == "$sources" ]]; }
	until_true 60 'every source has its baseline' baselined
	"$DELTAHOOK" status
}

events() { wc -l <"$work/webhooks"; }
arrived() { [[ $(events) -ge $1 ]]; }

# expect COUNT WHAT: waits for the webhook that makes it so many.
expect() { until_true 60 "$2" arrived "$1"; }

# quiet SECONDS COUNT WHAT: fails when another webhook comes in that time.
quiet() {
	sleep "$1"
	[[ $(events) == "$2" ]] || fail "$3 caused a webhook"
}

show() {
	wait "$listener"
	say 'what the receiver verified'
	cat "$work/webhooks"
	say 'what deltahook knows of it'
	"$DELTAHOOK" events
}
