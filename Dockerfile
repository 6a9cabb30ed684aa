# The image of a site, a center or a single machine; which of them it is, its settings say (docs/configuration.md).
#
#   docker build -t fogwhisk .
#   docker run --read-only --cap-drop ALL -v fogwhisk:/data -p 127.0.0.1:3000:3000 fogwhisk

ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Without scripts: `prepare` needs the sources, and no dependency needs any.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json build.mjs ./
COPY src src
COPY actions actions
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && npm sbom --omit=dev --package-lock-only --sbom-format=cyclonedx > sbom.cdx.json \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete \
  && chmod +x dist/main.js

FROM ${NODE_IMAGE}
# The actions of an embedded OpenWhisk may leave orphans behind, which nobody but a process 1 that waits for them ends.
RUN apt-get update \
  && apt-get install -y --no-install-recommends tini=0.19.0-1+b3 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
  && install -d -o 1000 -g 1000 -m 0700 /data \
  && ln -s /app/dist/main.js /usr/local/bin/fogwhisk
WORKDIR /app
COPY package.json configmap.yml LICENSE ./
COPY actions/manifest.yaml actions/manifest.yaml
COPY --from=build /app/sbom.cdx.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV NODE_ENV=production dataDir=/data providerHost=0.0.0.0
# A number: Kubernetes' runAsNonRoot can't tell what a name stands for.
USER 1000:1000
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# The memory flags are those of `npm start`.
ENTRYPOINT ["tini", "--", "node", "--max-semi-space-size=2", "--heap-growing-percent=50", "--v8-pool-size=1", "dist/main.js"]
CMD ["start"]
# Docker's own format keeps this; in Kubernetes it is the probes of deploy/site/mqtt-provider.yaml.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.providerPort || 3000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
