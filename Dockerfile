# Keyferry in an image that holds one static binary and an empty folder for its store.
#
#   docker build -t keyferry .
#   docker run -v ./config.toml:/etc/keyferry/config.toml:ro -v keyferry-data:/data -p 127.0.0.1:8080:8080 keyferry
#
# In a container it listens on 0.0.0.0:8080, for which config.toml has to name callers, and store.url is a Redis or
# "file:/data/keyferry.redb".

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
# The stand-ins above are newer than the sources that a checkout brings.
RUN touch src/main.rs src/lib.rs \
    && cargo build --locked --release --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && mkdir -p /image/data \
    && cp target/*/release/keyferry /image/keyferry

FROM scratch
COPY --from=build --chown=65532:65532 /image /
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s \
    CMD ["/keyferry", "healthcheck", "--config", "/etc/keyferry/config.toml"]
ENTRYPOINT ["/keyferry"]
CMD ["serve", "--config", "/etc/keyferry/config.toml"]
