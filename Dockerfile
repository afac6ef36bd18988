# The image: one static binary, and nothing else that could be run.

# The same version as in rust-toolchain.toml.
ARG RUST=1.95.0

FROM rust:${RUST}-bookworm AS build
WORKDIR /build
# Writes into the binary what it is made of: a scanner finds nothing else to read in an image from scratch.
RUN cargo install --locked cargo-auditable@0.7.7
# With everything inside, the binary needs no system below it. Named by its triple, the target gets these flags and
# the programs that run during the build don't.
ENV RUSTFLAGS="-C target-feature=+crt-static"
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY crates/birthday/Cargo.toml crates/birthday/
COPY crates/store/Cargo.toml crates/store/
COPY crates/server/Cargo.toml crates/server/
COPY crates/hello-birthday/Cargo.toml crates/hello-birthday/
COPY crates/test-servers/Cargo.toml crates/test-servers/
COPY tools/bench/Cargo.toml tools/bench/
COPY tools/rehearse/Cargo.toml tools/rehearse/
# The dependencies are a layer of their own, built beside empty crates: it is made anew only if a manifest changes.
RUN for crate in crates/* tools/*; do \
        mkdir "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; \
    done \
    && cargo auditable build --release --locked --target "$(rustc --print host-tuple)"
COPY crates crates
# Cargo goes by times, and those of the sources are older than those of the empty crates.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo auditable build --release --locked --target "$(rustc --print host-tuple)" \
    && cp "target/$(rustc --print host-tuple)/release/hello-birthday" /hello-birthday \
    && mkdir /data

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hello-birthday" \
      org.opencontainers.image.description="A self-hosted birthday service" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Whom to trust for TLS to a database.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /hello-birthday /hello-birthday
# A new volume takes over the owner of what it covers.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
# Where nobody names a store, its file is made here. DATABASE_URL is left unset, or it would win over POSTGRES_HOST,
# and stand in the way of DATABASE_URL_FILE.
WORKDIR /data
VOLUME ["/data"]
ENV HELLO_LISTEN="[::]:8080"
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/hello-birthday", "healthcheck"]
ENTRYPOINT ["/hello-birthday"]
