#!/usr/bin/env bash
# Builds dist/: the binary, its manual pages and completions, the bill of materials, the deb and the rpm, and their checksums. The same
# commit gives the same bytes. Usage: packaging/package.sh VERSION [ARCH]; run it from the root of the checkout.
set -euo pipefail
export LC_ALL=C TZ=UTC
version=${1#v} ARCH=${2:-$(go env GOARCH)}
# The time of the commit: nothing in a package tells when it was built.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
NFPM=${NFPM:?the command that runs nfpm}
VERSION=$version
[[ $version =~ ^[0-9] ]] || VERSION=0.0.0-$version
export ARCH VERSION SOURCE_DATE_EPOCH

root=dist/root
rm -rf "$root" && mkdir -p "$root"
build() { CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags nopgxregisterdefaulttypes -ldflags "-s -w -X main.version=$version" -o "$1" ./cmd/deltahook; }
GOOS=linux GOARCH=$ARCH build "$root/deltahook"
native=$root/deltahook
if [[ $ARCH != "$(go env GOHOSTARCH)" || $(go env GOHOSTOS) != linux ]]; then
	native=$root/native
	GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) build "$native"
fi
"$native" man "$root"
gzip -9n "$root/deltahook.1" "$root/deltahook.toml.5"
for shell in bash zsh fish; do "$native" completion "$shell" >"$root/deltahook.$shell"; done
cp config.toml LICENSE "$root"
cp packaging/deltahook.toml packaging/systemd/deltahook.service packaging/prometheus/deltahook.rules.yml packaging/grafana/deltahook.json "$root"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
go run ./packaging/sbom "$root/deltahook" >"dist/deltahook_${VERSION}_${ARCH}.cdx.json"
for kind in deb rpm; do
	$NFPM package --config packaging/nfpm.yaml --packager "$kind" --target "dist/deltahook_${VERSION}_${ARCH}.$kind"
done
(cd dist && sha256sum "deltahook_${VERSION}_${ARCH}".* >"deltahook_${VERSION}_${ARCH}.sha256")
