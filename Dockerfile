# Build: docker build -t passarela .    Run: docker run -v passarela:/data -p 8080:8080 passarela serve
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
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* && useradd --system --home /data --create-home passarela
COPY --from=build /src/target/release/passarela /usr/local/bin/passarela
USER passarela
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV PASSARELA_SERVER__LISTEN=0.0.0.0:8080
ENTRYPOINT ["passarela"]
CMD ["serve"]
