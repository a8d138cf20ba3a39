# syntax=docker/dockerfile:1
#
# One image for every process of Preceptor; the arguments say which it is:
#
#   make image VERSION=dev
#   docker run --rm --publish 127.0.0.1:8080:8080 --volume preceptor:/data preceptor:dev
#
# The program is static and knows the world's time zones, so the image holds nothing else: no
# shell, no package manager, no C library. It runs as a user without a name or rights, and with a
# read-only root file system. deploy/ has what runs it as four services.

FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
# The Makefile knows how the binary is built; the caches outlive a build.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION="$VERSION"
# What the last stage cannot make for want of a shell: a user, and a folder of theirs.
RUN mkdir -p /root-fs/etc /root-fs/data \
    && echo 'nonroot:x:65532:65532:nonroot:/data:/sbin/nologin' > /root-fs/etc/passwd \
    && echo 'nonroot:x:65532:' > /root-fs/etc/group

FROM scratch
ARG VERSION=dev
# The commit and its time, which make image gives: the time of the build would be another one each time.
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="Preceptor" \
      org.opencontainers.image.description="The server behind a learning product: it records what each learner does, and says how far they have come" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="https://github.com/preceptor-dev/preceptor" \
      org.opencontainers.image.documentation="https://github.com/preceptor-dev/preceptor/blob/main/docs/kubernetes.md" \
      org.opencontainers.image.licenses="Apache-2.0"
# For the issuers of tokens, databases and collectors that are reached by public certificates.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /root-fs/etc/ /etc/
COPY --from=build --chown=65532:65532 /root-fs/data /data
COPY --from=build /src/bin/preceptor /preceptor
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# SQLite makes its temporary files here, as there is no /tmp.
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# As the command below listens; who runs one service of the four asks its --health-addr.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["/preceptor", "healthcheck"]
ENTRYPOINT ["/preceptor"]
CMD ["serve", "--http", ":8080", "--data", "/data"]
