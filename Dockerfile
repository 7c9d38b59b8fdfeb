FROM debian:12-slim AS build
COPY scripts/packages-build.txt /src/scripts/packages-build.txt
RUN apt-get update -qq && sed 's/#.*//' /src/scripts/packages-build.txt | \
    xargs env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
COPY . /src
RUN cmake -S /src -B /build -G Ninja -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_SYSCONFDIR=/etc && \
    cmake --build /build --target freshet && DESTDIR=/out cmake --install /build

FROM debian:12-slim
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    librdkafka1 libuv1 libhiredis0.14 libopenblas0-pthread liblapacke liblmdb0 libyaml-0-2 libmicrohttpd12 libjansson4 libzstd1 libxxhash0 libssl3 && \
    rm -rf /var/lib/apt/lists/* && useradd --system --home-dir /var/lib/freshet --create-home freshet
COPY --from=build /out/ /
USER freshet
VOLUME /var/lib/freshet
EXPOSE 7878
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["freshet", "status", "--config", "/etc/freshet/freshet.yaml"]
CMD ["freshet", "run", "--config", "/etc/freshet/freshet.yaml"]
