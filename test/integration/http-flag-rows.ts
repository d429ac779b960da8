import { RawHttp2 } from "../hostile/raw-http2.ts";
import { httpRules, meshConfig, networking, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { freePort } from "./free-port.ts";
import { eventually, exchange } from "./proxy-under-test.ts";
import { type FlagRow, type FlagStage, GET, to, VIP } from "./flag-stage.ts";

const RESET = "upstream_reset_before_response_started";

/** What HTTP requests come to: spec/07 7.4, and the details of spec/06 6.5. */
export const HTTP_FLAG_ROWS: readonly FlagRow[] = [
  {
    what: "an answer of the upstream", flags: "-", details: "via_upstream", status: 200, body: "200",
    act: async (stage) => {
      await stage.use(stage.upstream.port);
      return stage.ask();
    },
  },
  {
    what: "no rule takes the request", flags: "NR", details: "route_not_found", status: 404, body: "",
    act: async (stage) => {
      await stage.use(stage.upstream.port, { match: [{ uri: { exact: "/elsewhere" } }] });
      return stage.ask();
    },
  },
  {
    what: "REGISTRY_ONLY and a host nobody knows", flags: "-", details: "direct_response", status: 502, body: "",
    act: async (stage) => {
      await stage.use(stage.upstream.port, {}, meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }));
      return stage.ask(GET.replace("reviews", "elsewhere.test"));
    },
  },
  {
    what: "a direct response", flags: "-", details: "direct_response", status: 418, body: "teapot",
    act: async (stage) => {
      await stage.proxy.apply(yamlOf(service({ name: "reviews", endpoints: [] }), httpRules("reviews", { directResponse: { status: 418, body: { string: "teapot" } } })));
      return stage.ask();
    },
  },
  {
    what: "the cluster is not there", flags: "NC", details: "cluster_not_found", status: 503, body: "",
    act: async (stage) => {
      await stage.use(stage.upstream.port, to("missing.test"));
      return stage.ask();
    },
  },
  {
    what: "no endpoint is healthy", flags: "UH", details: "no_healthy_upstream", status: 503, body: "no healthy upstream",
    act: async (stage) => {
      await stage.proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: stage.upstream.port, isReady: false }] })));
      return stage.ask();
    },
  },
  {
    what: "the endpoint refuses the connection", flags: "UF", details: new RegExp(`^${RESET}\\{remote_connection_failure\\|127\\.0\\.0\\.1:\\d+:_connection_refused\\}$`), status: 503,
    act: async (stage) => {
      await stage.use(await freePort());
      return stage.ask();
    },
  },
  {
    what: "the endpoint does not speak the TLS of the mesh", flags: "UF", details: new RegExp(`^${RESET}\\{remote_connection_failure\\|.+\\}$`), status: 503,
    act: async (stage) => {
      const port = await stage.server((socket) => socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\n")));
      await stage.proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port, isMesh: true }] }), httpRules("reviews", to("reviews"))));
      return stage.ask();
    },
  },
  {
    what: "the endpoint refuses the connection, and every retry's", flags: "UF,URX", details: new RegExp(`^${RESET}\\{remote_connection_failure`), status: 503,
    act: async (stage) => {
      await stage.use(await freePort(), { retries: { attempts: 1, retryOn: "connect-failure" } });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "the upstream ends the connection before it answers", flags: "UC", details: `${RESET}{connection_termination}`, status: 503,
    body: "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    act: async (stage) => {
      await stage.use(await stage.server((socket) => socket.once("data", () => socket.end())));
      return stage.ask();
    },
  },
  {
    what: "the upstream ends the connection in the middle of its answer", flags: "UC", details: "upstream_reset_after_response_started{connection_termination}", status: 200,
    act: async (stage) => {
      await stage.use(await stage.server((socket) => socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))));
      return stage.ask();
    },
  },
  {
    what: "RST_STREAM of the upstream", flags: "UR", details: `${RESET}{remote_reset}`, status: 503,
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
    act: async (stage) => overHttp2(stage, 2),
  },
  {
    what: "the upstream refuses the stream", flags: "UR", details: `${RESET}{remote_refused_stream_reset}`, status: 503,
    act: async (stage) => overHttp2(stage, 7),
  },
  {
    what: "the upstream speaks no HTTP", flags: "UPE", details: `${RESET}{protocol_error}`, status: 502,
    body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
    act: async (stage) => {
      await stage.use(await stage.server((socket) => socket.once("data", () => socket.write("220 mail.example ESMTP\r\n"))));
      return stage.ask();
    },
  },
  {
    what: "too many requests under way", flags: "UO", details: `${RESET}{overflow}`, status: 503,
    body: "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port, {}, networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } } }));
      const held = stage.proxy.connectOutbound(VIP).on("error", () => undefined);
      held.write(GET);
      await eventually(() => stage.upstream.bodies.length > 0, "the first is under way");
      const answer = await stage.ask();
      held.destroy();
      return answer;
    },
  },
  {
    what: "the time of the route is up", flags: "UT", details: "response_timeout", status: 504, body: "upstream request timeout",
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port, { timeout: "1s" });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "the time of the only try is up", flags: "UT,URX", details: "upstream_per_try_timeout", status: 504, body: "upstream request timeout",
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port, { retries: { attempts: 1, perTryTimeout: "1s", retryOn: "5xx" } });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "every try is answered 503", flags: "URX", details: "via_upstream", status: 503, body: "503",
    act: async (stage) => {
      stage.upstream.always("503");
      await stage.use(stage.upstream.port, { retries: { attempts: 2, retryOn: "5xx" } });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "the client goes away", flags: "DC", details: "downstream_remote_disconnect", status: 0,
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port);
      await stage.abandon();
      return "";
    },
  },
  {
    what: "a request that can be read in two ways", flags: "DPE", details: "http1.codec_error", status: 400,
    act: async (stage) => {
      await stage.use(stage.upstream.port);
      return stage.ask("GET / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    },
  },
  {
    what: "a head of 70 000 bytes", flags: "DPE", details: "request_headers_too_large", status: 431,
    act: async (stage) => {
      await stage.use(stage.upstream.port);
      return stage.ask(`GET / HTTP/1.1\r\nHost: reviews\r\nX-Long: ${"x".repeat(70_000)}\r\n\r\n`);
    },
  },
  {
    what: "a path that leaves the root", flags: "-", details: "path_normalization_failed", status: 400,
    act: async (stage) => {
      await stage.use(stage.upstream.port);
      return stage.ask(GET.replace("/", "/a/../../b"));
    },
  },
  {
    what: "a rewrite that makes no path", flags: "-", details: "route_rewrite_invalid", status: 500,
    act: async (stage) => {
      await stage.use(stage.upstream.port, { rewrite: { uri: "/a/../../b" } });
      return stage.ask();
    },
  },
  {
    what: "a head that does not come to its end", flags: "SI", details: "request_header_timeout", status: 408,
    act: async (stage) => {
      await stage.use(stage.upstream.port);
      return stage.whileTimePasses(stage.ask("GET / HTTP/1.1\r\nHost: rev"), 500);
    },
  },
  {
    what: "an injected delay", flags: "DI", details: "via_upstream", status: 200,
    act: async (stage) => {
      await stage.use(stage.upstream.port, { fault: { delay: { fixedDelay: "1s", percentage: { value: 100 } } } });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "an injected failure", flags: "FI", details: "fault_filter_abort", status: 418, body: "fault filter abort",
    act: async (stage) => {
      await stage.use(stage.upstream.port, { fault: { abort: { httpStatus: 418, percentage: { value: 100 } } } });
      return stage.ask();
    },
  },
  {
    what: "both", flags: "DI,FI", details: "fault_filter_abort", status: 418, body: "fault filter abort",
    act: async (stage) => {
      await stage.use(stage.upstream.port, { fault: { delay: { fixedDelay: "1s", percentage: { value: 100 } }, abort: { httpStatus: 418, percentage: { value: 100 } } } });
      return stage.whileTimePasses(stage.ask());
    },
  },
  {
    what: "a preflight request that its rule answers", flags: "-", details: "cors_response", status: 200, body: "",
    act: async (stage) => {
      await stage.use(stage.upstream.port, { corsPolicy: { allowOrigins: [{ exact: "https://shop.test" }], allowMethods: ["GET"] } });
      return stage.ask("OPTIONS / HTTP/1.1\r\nHost: reviews\r\nOrigin: https://shop.test\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n");
    },
  },
  {
    what: "an HTTP/2 client breaks the protocol while its request is under way", flags: "DPE", details: "http2.codec_error", status: 0,
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port);
      const client = RawHttp2.client(stage.proxy.connectOutbound(VIP));
      client.headers(1, [[":method", "GET"], [":scheme", "http"], [":authority", "reviews"], [":path", "/"]]);
      await eventually(() => stage.upstream.bodies.length > 0, "the request is at the upstream");
      client.data(0, "of no stream");
      // One line says why the connection ended, one what became of the request.
      await eventually(() => stage.proxy.accessLog.length > 1, "both were logged");
      stage.proxy.accessLog.pop();
      return "";
    },
  },
  {
    what: "an HTTP/2 client resets its stream", flags: "DC", details: "downstream_remote_disconnect", status: 0,
    act: async (stage) => {
      stage.upstream.always("hang");
      await stage.use(stage.upstream.port);
      const client = RawHttp2.client(stage.proxy.connectOutbound(VIP));
      client.headers(1, [[":method", "GET"], [":scheme", "http"], [":authority", "reviews"], [":path", "/"]]);
      await eventually(() => stage.upstream.bodies.length > 0, "the request is at the upstream");
      client.reset(1, 8);
      await eventually(() => stage.proxy.accessLog.length > 0, "it was logged");
      client.socket.destroy();
      return "";
    },
  },
  {
    what: "a local rate limit", flags: "RL", details: "local_rate_limited", status: 429, body: "local_rate_limited",
    act: async (stage) => {
      const { metadata, ...rules } = httpRules("reviews", to("reviews")) as { metadata: Record<string, unknown> };
      await stage.proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: stage.upstream.port }] }),
        { ...rules, metadata: { ...metadata, annotations: { "outrider.io/rate-limit": "[{ requests: 1, per: 1h }]" } } }));
      await stage.ask();
      await eventually(() => stage.proxy.accessLog.length > 0, "the one that was let through is logged");
      stage.proxy.accessLog.length = 0;
      return stage.ask();
    },
  },
  {
    what: "a token that is none", flags: "-", details: /^jwt_authn_access_denied\{.+\}$/, status: 401,
    act: async (stage) => {
      const port = stage.upstream.port;
      await stage.proxy.apply(yamlOf(
        service({ name: "own", selector: { app: "test" }, targetPort: port, endpoints: [{ port }] }),
        security("RequestAuthentication", "tokens", { jwtRules: [{ issuer: "https://issuer.test", jwks: '{"keys":[]}' }] }),
      ));
      return exchange(stage.proxy.connectInbound(port), GET.replace("Host:", "Authorization: Bearer none\r\nHost:"));
    },
  },
  {
    what: "a policy denies it", flags: "-", details: /^rbac_access_denied_matched_policy\[.+\]$/, status: 403, body: "RBAC: access denied",
    act: async (stage) => {
      const port = stage.upstream.port;
      await stage.proxy.apply(yamlOf(
        service({ name: "own", selector: { app: "test" }, targetPort: port, endpoints: [{ port }] }), security("AuthorizationPolicy", "nobody", { action: "DENY", rules: [{}] }),
      ));
      return exchange(stage.proxy.connectInbound(port), GET);
    },
  },
  {
    what: "an external authorizer refuses it", flags: "UAEX", details: "ext_authz_denied", status: 401, body: "who are you",
    act: async (stage) => {
      const authorizer = await stage.server((socket) => socket.once("data", () => socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 11\r\n\r\nwho are you")));
      return askedAbout(stage, authorizer, {});
    },
  },
  {
    what: "an external authorizer cannot be asked", flags: "UAEX", details: "ext_authz_error", status: 503, body: "",
    act: async (stage) => askedAbout(stage, await freePort(), { statusOnError: "503" }),
  },
  {
    what: "its body is larger than what an external authorizer is to be shown", flags: "-", details: "request_payload_too_large", status: 413, body: "Payload Too Large",
    act: async (stage) => askedAbout(stage, await freePort(), { includeRequestBodyInCheck: { maxRequestBytes: 1 } }, `${GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n")}ab`),
  },
];

/** A request to our own application that somebody at `port` is asked about first. */
async function askedAbout(stage: FlagStage, port: number, provider: Resource, request = GET): Promise<string> {
  const own = stage.upstream.port;
  await stage.proxy.apply(yamlOf(
    service({ name: "own", selector: { app: "test" }, targetPort: own, endpoints: [{ port: own }] }), service({ name: "authz", port: 8000, endpoints: [{ port }] }),
    meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: "authz.default.svc.cluster.local", port: 8000, ...provider } }] }),
    security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
  ));
  return exchange(stage.proxy.connectInbound(own), request);
}

/** The upstream resets the stream of the request with an error code. */
async function overHttp2(stage: FlagStage, code: number): Promise<string> {
  stage.http2.answer = (peer, streamId) => peer.reset(streamId, code);
  await stage.proxy.apply(yamlOf(service({ name: "reviews", portName: "http2", endpoints: [{ port: stage.http2.port }] }), httpRules("reviews", to("reviews"))));
  return stage.ask();
}
