# Keyferry in an image that holds one static binary and an empty folder for its store.
#
#   docker build -t keyferry .
#   docker run --read-only --cap-drop all -v ./config:/etc/keyferry:ro -v keyferry:/data \
#       -p 127.0.0.1:8080:8080 keyferry
#
# `config` is the folder of config.toml: where that file alone is mounted, an edited one is not taken over.
# In a container server.listen is "0.0.0.0:8080", for which config.toml has to name callers or a login; store.url is a
# Redis or "file:/data/keyferry.redb"; secrets are files: "file:/run/secrets/NAME". deploy/README.md has whole examples.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# glibc and ring go into the binary. With a target named, the flags leave build scripts and macros alone. A static binary
# does not find the system call for random bytes at run time and would read /dev/urandom, so it is told.
ENV RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"'

# The dependencies alone, so that this layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --locked --release --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && rm -r src

COPY build.rs build.rs
COPY providers providers
COPY src src
# The commit that is built, which /metrics tells: `--build-arg KEYFERRY_REVISION="$(git rev-parse HEAD)"`.
ARG KEYFERRY_REVISION=unknown
# The stand-ins above are newer than the sources that a checkout brings.
RUN touch src/main.rs src/lib.rs \
    && cargo build --locked --release --target "$(rustc -vV | sed -n 's/^host: //p')"

# Beside the binary, the folders that are mounted, and where names are looked up: in /etc/hosts first, which most runtimes
# put their own in place of. Without one, not even `localhost` would be found.
RUN mkdir -p /image/etc/keyferry /image/run/secrets /data \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && echo '127.0.0.1 localhost' > /image/etc/hosts \
    && cp target/*/release/keyferry /image/keyferry

FROM scratch
LABEL org.opencontainers.image.title="Keyferry" \
      org.opencontainers.image.description="An OAuth broker that runs beside your application" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.source="https://github.com/keyferry/keyferry" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
# The one place that it writes to, and only with a store in a file.
COPY --from=build --chown=65532:65532 /data /data
VOLUME /data
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks where server.admin_listen is by default instead of reading the configuration: a mistake in a file that is being
# edited, which the running process does not take over, is no illness.
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s \
    CMD ["/keyferry", "healthcheck", "--address", "127.0.0.1:8081"]
ENTRYPOINT ["/keyferry"]
CMD ["serve", "--config", "/etc/keyferry/config.toml"]
