#!/bin/sh
# A purge removes the state: known records, events that wait, history. A removal keeps it, as rpm does.
set -e
if [ "$1" = purge ]; then
	rm -rf /var/lib/deltahook /var/lib/private/deltahook
	rmdir --ignore-fail-on-non-empty /etc/deltahook 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
