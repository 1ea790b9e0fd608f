#!/usr/bin/env bash
# Creates, changes and deletes a queue in a private RabbitMQ node and shows the three webhooks that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs rabbitmq-server when that is missing, without starting its
# service. Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

api=http://127.0.0.1:15672/api

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
	start epmd "${user[@]}" env "${environment[@]}" epmd -address 127.0.0.1 -port 25691
	start rabbitmq "${user[@]}" env "${environment[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server
	cd "$work"
}

rabbit() { # METHOD PATH [BODY]
	curl -sS -f -o /dev/null -u guest:guest -H 'content-type: application/json' -X "$1" "$api/$2" ${3:+-d "$3"}
}

build_deltahook
needs /usr/lib/rabbitmq/bin/rabbitmq-server=rabbitmq-server curl=curl
ports 15672

say 'starting a private RabbitMQ node'
start_rabbitmq
until_true 90 'RabbitMQ answers' rabbit GET overview
curl -sS -u guest:guest "$api/overview" | sed -E 's/.*"rabbitmq_version":"([^"]*)".*/RabbitMQ \1 is running/'
echo
rabbit PUT queues/%2F/invoices '{"durable":true}' # it is there before deltahook is: part of the baseline, not news

export RABBITMQ_PASSWORD=guest
follow 3 2

say 'create: PUT /api/queues/%2F/orders'
rabbit PUT queues/%2F/orders '{"durable":true,"arguments":{"x-max-length":1000}}'
expect 1 'the webhook of the creation'

say 'no change: three messages go through the queue'
for _ in 1 2 3; do
	rabbit POST exchanges/%2F/amq.default/publish '{"properties":{},"routing_key":"orders","payload":"hello","payload_encoding":"string"}'
done
quiet 11 1 traffic # two polls

say 'change: PUT /api/policies/%2F/short (a policy takes hold of the queue)'
rabbit PUT policies/%2F/short '{"pattern":"^orders$","definition":{"message-ttl":60000},"apply-to":"queues"}'
expect 2 'the webhook of the change'

say 'delete: DELETE /api/queues/%2F/orders'
rabbit DELETE queues/%2F/orders
expect 3 'the webhook of the deletion'
show
