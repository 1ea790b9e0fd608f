# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags nopgxregisterdefaulttypes -ldflags "-s -w -X main.version=${VERSION}" -o /out/deltahook ./cmd/deltahook \
    && /out/deltahook version \
    && mkdir /out/data

# Nothing but the binary, the CA roots, and a folder for the state. Time zones are in the binary.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/deltahook /deltahook
COPY --from=build --chown=65532:65532 /out/data /data

# Large polls and the store need a place for temporary files; the root may be read-only.
ENV DELTAHOOK_CONFIG=/etc/deltahook/deltahook.toml TMPDIR=/data SQLITE_TMPDIR=/data
USER 65532:65532
# The default store, sqlite:deltahook.db, lies here.
WORKDIR /data
VOLUME /data
EXPOSE 9644
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/deltahook", "healthcheck"]
ENTRYPOINT ["/deltahook"]
CMD ["run"]

LABEL org.opencontainers.image.title="deltahook" \
      org.opencontainers.image.description="Polls REST APIs and delivers each change as a signed webhook" \
      org.opencontainers.image.licenses="MIT"
