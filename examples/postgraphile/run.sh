#!/usr/bin/env bash
# Inserts, changes and deletes an order in a private PostgreSQL with a GraphQL API (PostGraphile) and shows the three webhooks
# that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs postgresql, nodejs, npm and curl when they are missing, without
# starting a service, and PostGraphile from npm into a temporary folder. Everything else lives there too and on the loopback
# interface, and ends with this script.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

start_postgresql() {
	local bin user=()
	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
	mkdir "$work/db"
	if [[ $(id -u) == 0 ]]; then # which PostgreSQL refuses
		chown postgres "$work/db"
		user=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	(cd / && "${user[@]}" "$bin/initdb" -D "$work/db/data" -A trust -U shop >/dev/null)
	cd /
	start postgresql "${user[@]}" "$bin/postgres" -D "$work/db/data" -c listen_addresses=127.0.0.1 -c port=25432 -c unix_socket_directories=
	cd "$work"
}

sql() { psql -h 127.0.0.1 -p 25432 -U shop -d postgres -v ON_ERROR_STOP=1 -qAt -c "$1"; }

start_postgraphile() {
	mkdir "$work/api"
	(cd "$work/api" && npm install --silent --no-audit --no-fund postgraphile@4 >/dev/null)
	start postgraphile node "$work/api/node_modules/postgraphile/cli.js" --connection postgres://shop@127.0.0.1:25432/postgres \
		--schema public --host 127.0.0.1 --port 18100 --disable-graphiql --disable-query-log
}

ask() { curl -sS -f -H 'content-type: application/json' -d '{"query":"{ allOrders { totalCount } }"}' http://127.0.0.1:18100/graphql; }

build_deltahook
needs psql=postgresql node=nodejs npm=npm curl=curl
ports 25432 18100

say 'starting a private PostgreSQL'
start_postgresql
until_true 30 'PostgreSQL answers' sql 'select 1'
sql 'create table orders (id bigint generated always as identity (start 4711) primary key, customer text not null,
	status text not null default $$new$$, total numeric(10,2) not null)'
sql 'insert into orders (customer, total) select $$Customer $$ || n, n * 1.10 from generate_series(1, 250) n'
sql 'select version()' | cut -d ' ' -f 1-2

say 'starting PostGraphile'
start_postgraphile
until_true 60 'PostGraphile answers' ask
ask

follow 3 1
"$DELTAHOOK" try orders | sed -n 1p

say 'create: insert into orders'
id=$(sql "insert into orders (customer, total) values ('Zoë', 99.90) returning id")
expect 1 'the webhook of the new order'

say 'no change: an update that sets what was there'
sql "update orders set status = status"
quiet 11 1 'an update without a change' # two polls

say 'change: update orders'
sql "update orders set status = 'paid', total = 1.10 where id = $id"
expect 2 'the webhook of the change'

say 'delete: delete from orders'
sql "delete from orders where id = $id"
expect 3 'the webhook of the deletion'
show
