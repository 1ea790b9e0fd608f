#!/usr/bin/env bash
# Makes, moves and deletes an event in a private CalDAV server (Radicale) and shows the three webhooks that come of it.
#
# On Debian and Ubuntu, as root or with sudo. It installs radicale and curl when they are missing, without starting a service.
# Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

calendar=http://127.0.0.1:5232/ann/work

start_radicale() {
	printf 'ann:secret\n' >"$work/users"
	cat >"$work/radicale.conf" <<-EOF
		[server]
		hosts = 127.0.0.1:5232
		[auth]
		type = htpasswd
		htpasswd_filename = $work/users
		htpasswd_encryption = plain
		[storage]
		filesystem_folder = $work/collections
	EOF
	start radicale radicale --config "$work/radicale.conf"
}

dav() { # METHOD PATH [CURL OPTIONS…]
	curl -sS -f -o /dev/null -u ann:secret -X "$1" "$calendar/$2" "${@:3}"
}

event() { # UID HOUR SUMMARY
	printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 PRODID:-//example//run//EN BEGIN:VEVENT "UID:$1" DTSTAMP:20261123T080000Z \
		"DTSTART:20261201T${2}0000Z" "DURATION:PT1H" "SUMMARY:$3" END:VEVENT END:VCALENDAR |
		dav PUT "$1.ics" -H 'content-type: text/calendar' --data-binary @-
}

build_deltahook
needs radicale=radicale curl=curl
ports 5232

say 'starting a private Radicale'
start_radicale
until_true 20 'Radicale answers' dav MKCALENDAR ''
echo "Radicale $(radicale --version) is running"
event standup 08 'Stand-up'

export CALDAV_PASSWORD=secret
follow 3 1

say 'create: PUT review.ics'
event review 09 'Review with Zoë'
expect 1 'the webhook of the new event'

say 'no change: PUT standup.ics as it was'
event standup 08 'Stand-up'
quiet 11 1 'an unchanged event' # two polls

say 'change: PUT review.ics, an hour later'
event review 10 'Review with Zoë'
expect 2 'the webhook of the change'

say 'delete: DELETE review.ics'
dav DELETE review.ics
expect 3 'the webhook of the deletion'
show
