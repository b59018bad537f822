# Build:      docker build -t passarela .
# Try:        docker run --rm -p 8080:8080 passarela demo --listen 0.0.0.0:8080 --public-url http://127.0.0.1:8080
# Once:       docker run --rm -v passarela:/data --entrypoint sh passarela -c 'umask 077; head -c 32 /dev/urandom > master.key'
# Run:        docker run -v passarela:/data -p 8080:8080 passarela    (certs/ and passarela.toml in the volume)
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The dependencies alone first, so that a change of our source does not build them again.
RUN mkdir -p src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && cargo build --release --locked && rm -r src
COPY migrations migrations
COPY pass-templates pass-templates
COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --release --locked && strip target/release/passarela

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 ca-certificates postgresql-client \
    && rm -rf /var/lib/apt/lists/* && useradd --system --home /data --create-home passarela
COPY --from=build /src/target/release/passarela /usr/local/bin/passarela
COPY pass-templates /usr/local/share/passarela/pass-templates
USER passarela
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV PASSARELA_SERVER__LISTEN=0.0.0.0:8080
ENTRYPOINT ["passarela"]
CMD ["serve"]
