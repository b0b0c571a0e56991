# The operator's image. BASE is any image with Node 24 or later, npm and a shell; to build where nothing can be pulled,
# name one of your own: --build-arg BASE=local/node. The last stage needs nothing of it but Node.
# A tag may be moved. For an image that is to be known, name the base by digest (docker buildx imagetools inspect
# node:24-slim tells it): --build-arg BASE=node:24-slim@sha256:…
ARG BASE=node:24-slim

# What the operator needs at run time. No package gets to run its install script.
FROM ${BASE} AS modules
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY build.config.ts ./
COPY migrations migrations
COPY src src
# --build-arg COMMIT=$(git rev-parse HEAD): what the metric build_info says.
ARG COMMIT=unknown
RUN GIT_COMMIT=$COMMIT npm run build

FROM ${BASE}
WORKDIR /app
ENV NODE_ENV=production
COPY package.json ./
COPY --from=modules /app/node_modules node_modules
COPY --from=build /app/dist dist
# By number, so that Kubernetes can prove that it is not root.
USER 65532:65532
EXPOSE 8080 8081
# Exec form: the operator is process 1 and gets SIGTERM itself. Nothing is written: the root may be read-only.
CMD ["node", "dist/main.js", "run"]
