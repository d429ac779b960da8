# One image for both containers of a pod: the sidecar, and the init container that installs the capture rules.
#   sidecar:         outrider proxy             as 1337:1337, the user the rules exempt
#   init container:  outrider init -b '*' ...   with runAsUser 0 and the capability NET_ADMIN
# The sidecar writes nowhere (docs/security.md): run it with a read-only root, no capability and no new privileges. There is no
# HEALTHCHECK, which would start a second Node every time: ask 15021 for /healthz/ready.

FROM node:26-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json ./
COPY bin bin
COPY init init
COPY src src
RUN npm run build
# What the bundle leaves outside it.
RUN npm ci --omit=dev

FROM node:26-slim
# Nothing here installs packages, nor becomes another user.
RUN apt-get update \
 && apt-get install -y --no-install-recommends iptables iproute2 \
 && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
WORKDIR /opt/outrider
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY LICENSE ./
RUN ln -s /opt/outrider/dist/outrider.cjs /usr/local/bin/outrider \
 && chmod 0755 /opt/outrider/dist/outrider.cjs
ENV NODE_ENV=production
USER 1337:1337
ENTRYPOINT ["outrider"]
CMD ["proxy"]
