#!/bin/sh
# Stops the daemon when the package goes, not when it is upgraded. The argument is a word from dpkg, a number from rpm.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now deltahook.service || true
	fi
	;;
esac
