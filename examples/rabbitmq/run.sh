#!/usr/bin/env bash
# Creates, changes and deletes a queue in a private RabbitMQ node and shows the three webhooks that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs rabbitmq-server when that is missing, without starting its
# service. Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
#
#   DELTAHOOK=/path/to/deltahook examples/rabbitmq/run.sh      (default: built from this checkout)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
api=http://127.0.0.1:15672/api
work=$(mktemp -d)
chmod 711 "$work"
started=() # what this script started, in order; it ends these and nothing else
kept=      # a file to restore

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

# until_true SECONDS WHAT COMMAND…: waits until COMMAND succeeds.
until_true() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || fail "$what: not within the time allowed"
		sleep 0.2
	done
}

install_rabbitmq() {
	command -v apt-get >/dev/null || fail 'install rabbitmq-server first: this script knows apt-get only'
	local packages=(rabbitmq-server)
	command -v curl >/dev/null || packages+=(curl)
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

# A node of its own: its folders, its cookie, its port mapper, and loopback addresses only.
start_rabbitmq() {
	local node=$work/node user=()
	mkdir -p "$node"/{home,mnesia,log}
	printf '[rabbitmq_management].\n' >"$node/enabled_plugins"
	printf '%s\n' 'listeners.tcp = none' 'management.tcp.ip = 127.0.0.1' 'management.tcp.port = 15672' >"$node/rabbitmq.conf"
	if [[ $(id -u) == 0 ]]; then
		chown -R rabbitmq:rabbitmq "$node"
		user=(setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups)
	fi
	local environment=(
		HOME="$node/home"
		ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=25691
		RABBITMQ_NODENAME=deltahook@localhost
		RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT=25692
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
		RABBITMQ_CONF_ENV_FILE="$node/none"
		RABBITMQ_CONFIG_FILE="$node/rabbitmq"
		RABBITMQ_ENABLED_PLUGINS_FILE="$node/enabled_plugins"
		RABBITMQ_MNESIA_BASE="$node/mnesia" RABBITMQ_LOG_BASE="$node/log" RABBITMQ_PID_FILE="$node/pid"
	)
	cd "$node"
	"${user[@]}" env "${environment[@]}" epmd -address 127.0.0.1 -port 25691 >"$work/epmd.log" 2>&1 &
	started+=($!)
	"${user[@]}" env "${environment[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server >"$work/rabbitmq.log" 2>&1 &
	started+=($!)
	cd "$work"
}

rabbit() { # METHOD PATH [BODY]
	curl -sS -f -o /dev/null -u guest:guest -H 'content-type: application/json' -X "$1" "$api/$2" ${3:+-d "$3"}
}

events() { wc -l <"$work/webhooks"; }
arrived() { [[ $(events) -ge $1 ]]; }

if [[ -n ${DELTAHOOK:-} ]]; then
	DELTAHOOK=$(realpath "$DELTAHOOK")
else
	say 'building deltahook'
	DELTAHOOK=$work/deltahook
	(cd "$here/../.." && CGO_ENABLED=0 go build -buildvcs=false -o "$DELTAHOOK" ./cmd/deltahook)
fi
if [[ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || ! command -v curl >/dev/null; then
	say 'installing RabbitMQ'
	install_rabbitmq
fi
if curl -s -o /dev/null --max-time 2 "$api/"; then
	fail 'something listens on port 15672 already; stop it, or use config.toml with your own broker as the README says'
fi

say 'starting a private RabbitMQ node'
start_rabbitmq
until_true 90 'RabbitMQ answers' rabbit GET overview
curl -sS -u guest:guest "$api/overview" | sed -E 's/.*"rabbitmq_version":"([^"]*)".*/RabbitMQ \1 is running/'
echo
rabbit PUT queues/%2F/invoices '{"durable":true}' # it is there before deltahook is: part of the baseline, not news

export RABBITMQ_PASSWORD=guest DELTAHOOK_CONFIG=$here/config.toml
WEBHOOK_SECRET=$("$DELTAHOOK" secret)
export WEBHOOK_SECRET

say 'starting deltahook: a receiver that verifies, and the daemon'
"$DELTAHOOK" check
"$DELTAHOOK" listen -n 3 >"$work/webhooks" 2>"$work/listen.log" &
listener=$!
started+=("$listener")
"$DELTAHOOK" run 2>"$work/deltahook.log" &
started+=($!)
baselined() { [[ $("$DELTAHOOK" status --json | grep '^{"source"' | grep -c '"state":"ok"') == 2 ]]; }
until_true 30 'both sources have their baseline' baselined
"$DELTAHOOK" status

say 'create: PUT /api/queues/%2F/orders'
rabbit PUT queues/%2F/orders '{"durable":true,"arguments":{"x-max-length":1000}}'
until_true 30 'the webhook of the creation' arrived 1

say 'no change: three messages go through the queue'
for _ in 1 2 3; do
	rabbit POST exchanges/%2F/amq.default/publish '{"properties":{},"routing_key":"orders","payload":"hello","payload_encoding":"string"}'
done
sleep 11 # two polls
[[ $(events) == 1 ]] || fail 'traffic caused a webhook'

say 'change: PUT /api/policies/%2F/short (a policy takes hold of the queue)'
rabbit PUT policies/%2F/short '{"pattern":"^orders$","definition":{"message-ttl":60000},"apply-to":"queues"}'
until_true 30 'the webhook of the change' arrived 2

say 'delete: DELETE /api/queues/%2F/orders'
rabbit DELETE queues/%2F/orders
until_true 30 'the webhook of the deletion' arrived 3
wait "$listener"

say 'what the receiver verified'
cat "$work/webhooks"
say 'what deltahook knows of it'
"$DELTAHOOK" events
