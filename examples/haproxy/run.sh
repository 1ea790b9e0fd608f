#!/usr/bin/env bash
# Adds a server to a private HAProxy, drains it, removes it, and shows the three webhooks that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs haproxy, curl and socat when they are missing, without starting a
# service. Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

stats='http://127.0.0.1:18083/stats;csv'

start_haproxy() {
	cat >"$work/haproxy.cfg" <<-EOF
		global
		  stats socket $work/admin.sock level admin
		defaults
		  mode http
		  timeout connect 1s
		  timeout client 10s
		  timeout server 10s
		frontend shop
		  bind 127.0.0.1:18081
		  default_backend web
		backend web
		  balance roundrobin
		  server web1 127.0.0.1:18082
		frontend stats
		  bind 127.0.0.1:18083
		  stats enable
		  stats uri /stats
		  stats auth ops:secret
	EOF
	start haproxy haproxy -db -f "$work/haproxy.cfg"
}

page() { curl -sS -f -u ops:secret "$stats"; }
runtime() { printf '%s\n' "$*" | socat - "UNIX-CONNECT:$work/admin.sock"; }

build_deltahook
needs /usr/sbin/haproxy=haproxy curl=curl socat=socat
ports 18081 18083
PATH=$PATH:/usr/sbin

say 'starting a private HAProxy'
start_haproxy
until_true 10 'HAProxy answers' page
haproxy -v | sed -n 1p

export HAPROXY_PASSWORD=secret
follow 3 1

say 'create: add server web/web2'
runtime add server web/web2 127.0.0.1:18084 weight 10
expect 1 'the webhook of the new server'

say 'no change: requests, which move every counter'
for _ in 1 2 3; do curl -sS -o /dev/null http://127.0.0.1:18081/ || true; done
quiet 11 1 traffic # two polls

say 'change: set server web/web2 state drain'
runtime set server web/web2 state drain
expect 2 'the webhook of the change'

say 'delete: del server web/web2, which must be in maintenance first'
runtime 'set server web/web2 state maint; del server web/web2'
expect 3 'the webhook of the deletion'
show
