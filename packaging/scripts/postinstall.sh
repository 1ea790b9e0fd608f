#!/bin/sh
# Makes the unit known, and starts nothing: there is no configuration yet, or the daemon runs on with the version that it was started with.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	if systemctl --quiet is-active deltahook.service 2>/dev/null; then
		echo 'deltahook runs on in its former version; systemctl restart deltahook takes the new one.'
	fi
fi
