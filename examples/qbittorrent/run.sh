#!/usr/bin/env bash
# Adds, labels and removes a transfer in a private qBittorrent and shows the three webhooks that come of it, also after the
# server forgot the session.
#
# On Debian and Ubuntu, as root or with sudo. It installs qbittorrent-nox and curl when they are missing, without starting a
# service. Everything else lives in one temporary folder and on the loopback interface, and ends with this script.
# shellcheck source=examples/common.sh
source "$(dirname "$0")/../common.sh"

api=http://127.0.0.1:18090

configure() {
	mkdir -p "$work/profile/qBittorrent/config" "$work/files"
	# No tracker, no peers, no discovery: it talks to nobody.
	cat >"$work/profile/qBittorrent/config/qBittorrent.conf" <<-EOF
		[LegalNotice]
		Accepted=true
		[Preferences]
		WebUI\\Address=127.0.0.1
		WebUI\\Port=18090
		WebUI\\LocalHostAuth=true
		[BitTorrent]
		Session\\DHTEnabled=false
		Session\\LSDEnabled=false
		Session\\PeXEnabled=false
		Session\\Interface=lo
		Session\\InterfaceName=lo
		Session\\Port=18091
		Session\\DefaultSavePath=$work/files
		[Network]
		PortForwardingEnabled=false
	EOF
}

start_qbittorrent() { start qbittorrent env HOME="$work" qbittorrent-nox --profile="$work/profile"; }

log_in() {
	curl -sS -f -c "$work/cookies" -d 'username=admin&password=adminadmin' "$api/api/v2/auth/login" | grep -q Ok
}
call() { # PATH [CURL OPTIONS…]
	curl -sS -f -b "$work/cookies" "$api/api/v2/$1" "${@:2}"
}

# torrent NAME: a file of one byte and the torrent of it.
torrent() {
	printf x >"$work/files/$1"
	{
		printf 'd4:infod6:lengthi1e4:name%d:%s12:piece lengthi16384e6:pieces20:' "${#1}" "$1"
		printf x | sha1sum | cut -c1-40 | sed 's/../\\x&/g' | xargs -0 printf '%b' | head -c 20
		printf 'ee'
	} >"$work/$1.torrent"
}

build_deltahook
needs qbittorrent-nox=qbittorrent-nox curl=curl
ports 18090

say 'starting a private qBittorrent'
configure
start_qbittorrent
until_true 30 'qBittorrent answers' log_in
echo "qBittorrent $(call app/version) is running"

export QBITTORRENT_PASSWORD=adminadmin
follow 3 1

say 'create: POST torrents/add'
torrent backup.tar
call torrents/add -F "torrents=@$work/backup.tar.torrent" -F paused=true
hash=$(call torrents/info | sed -E 's/.*"hash":"([0-9a-f]+)".*/\1/')
expect 1 'the webhook of the new transfer'
quiet 11 1 'a transfer that rests' # two polls

say 'the session is lost: the server starts again'
stop "${started[0]}"
start_qbittorrent
until_true 30 'qBittorrent answers' log_in

say 'change: POST torrents/addTags'
call torrents/addTags -d "hashes=$hash&tags=weekly"
expect 2 'the webhook of the change'

say 'delete: POST torrents/delete'
call torrents/delete -d "hashes=$hash&deleteFiles=true"
expect 3 'the webhook of the deletion'
show
