#!/usr/bin/env bash
# Opens, changes and deletes an issue in a private Redmine and shows the three webhooks that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs redmine with SQLite, puma and curl when they are missing, without
# starting a service. Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
# The first start takes some minutes: Redmine makes its database.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

api=http://127.0.0.1:18110

# prepare makes a copy with an instance and a database of its own: that of the system is not touched.
prepare() {
	cp -rL /usr/share/redmine "$work/redmine" 2>/dev/null || true # some links lead to what only the system's instance has
	cd "$work/redmine"
	rm -rf instances
	mkdir -p instances/run/{config,log,tmp,files}
	printf 'production:\n  adapter: sqlite3\n  database: %s/redmine.db\n' "$work" | tee config/database.yml >instances/run/config/database.yml
	head -c 32 /dev/urandom | sha256sum | cut -c1-64 >instances/run/config/secret_key.txt
	echo "gem 'puma'" >Gemfile.local
	export REDMINE_INSTANCE=run RAILS_ENV=production REDMINE_LANG=en
	{
		bundle exec rake db:migrate
		bundle exec rake redmine:load_default_data
		bundle exec rails runner "
			Setting.rest_api_enabled = '1'
			User.find_by_login('admin').update_columns(must_change_passwd: false)
			shop = Project.create!(name: 'Shop', identifier: 'shop', trackers: Tracker.all, enabled_module_names: ['issue_tracking'])
			120.times do |n|
			  issue = Issue.create!(project: shop, tracker: Tracker.first, author: User.find_by_login('admin'), priority: IssuePriority.first, subject: 'Issue ' + (n + 1).to_s)
			  issue.update_columns(created_on: 10.days.ago - n.hours, updated_on: 10.days.ago - n.hours)
			end"
	} >"$work/prepare.log" 2>&1
}

redmine() { # METHOD PATH [BODY]
	curl -sS -f -u admin:admin -H 'content-type: application/json' -X "$1" "$api/$2" ${3:+-d "$3"}
}

build_deltahook
needs /usr/share/redmine/config.ru=redmine-sqlite puma=puma curl=curl
ports 18110

say 'making a private Redmine with 120 issues'
prepare
start puma bundle exec puma --environment production --bind tcp://127.0.0.1:18110
until_true 120 'Redmine answers' redmine GET users/current.json
dpkg-query --show --showformat 'Redmine ${Version} is running\n' redmine

REDMINE_KEY=$(redmine GET users/current.json | sed -E 's/.*"api_key":"([0-9a-f]+)".*/\1/')
export REDMINE_KEY
follow 3 1

say 'create: POST issues.json'
id=$(redmine POST issues.json '{"issue":{"project_id":"shop","subject":"The printer is on fire","priority_id":1}}' | sed -E 's/.*"issue":\{"id":([0-9]+).*/\1/')
expect 1 'the webhook of the new issue'

say 'no change: half a minute of polls that ask for what is new, and one that asks for everything'
quiet 30 1 'a poll'
grep -c 'Started GET "/issues.json' "$work/redmine/instances/run/log/production.log" | sed 's/$/ requests for issues so far/'

say 'change: PUT issues/ID.json'
redmine PUT "issues/$id.json" '{"issue":{"done_ratio":50,"notes":"Half of it is out."}}'
expect 2 'the webhook of the change'

say 'delete: DELETE issues/ID.json'
redmine DELETE "issues/$id.json"
until_true 120 'the webhook of the deletion' arrived 3
show
