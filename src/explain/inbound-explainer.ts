import type { Snapshot } from "../config/snapshot.ts";
import { chooseInboundChain, type Observed } from "../connection/inbound-chain.ts";
import { type InboundPort, InboundPorts } from "../connection/inbound-port.ts";
import { describeRefusal } from "../connection/inbound-refusal.ts";
import { canonicalAddress, parseIpAddress } from "../core/cidr.ts";
import { inboundFilters } from "../filter/direction-filters.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { DRY_GATES } from "../filter/gate-parts.ts";
import { loadJose } from "../filter/jose.ts";
import { JwtAuthn } from "../filter/jwt-authn.ts";
import { Authorizer } from "../filter/rbac.ts";
import { AuthorizationFacts } from "../filter/rbac-facts.ts";
import type { ExternalAuthorizer, ExternalAuthorizers } from "../filter/rbac-custom-filter.ts";
import { factsOf } from "../filter/rbac-filter.ts";
import { parseSpiffeId, workloadSpiffeId } from "../identity/spiffe-id.ts";
import type { ConnectionFacts, PeerCertificate, TlsFacts } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { httpOf, malformedOf, opaqueOf, resetOf, type Scene } from "./compose.ts";
import { splitHostPort } from "./destination.ts";
import type { DryRun } from "./dry-run.ts";
import { accountOfProvider, accountOfVerdict } from "./explain-rbac.ts";
import { accountOfRateLimits } from "./explain-gates.ts";
import { type ExplainRequest, InvalidExplainRequest } from "./explain-request.ts";
import { ExplainedToken } from "./explain-token.ts";
import { accountOfServerName } from "./explain-server-name.ts";
import type { ExplainedFilter, Explanation } from "./explanation.ts";
import { HttpDecisions } from "./http-decision.ts";
import type { FilterAccounts } from "./recorded-filter.ts";
import { dialledBy, type ReadRequest, readRequest } from "./request-head.ts";
import { writtenAt } from "./written-at.ts";

/** What a sidecar of the mesh offers, by what it is about to speak. */
const MESH_ALPN = { http: ["istio-http/1.1", "istio", "http/1.1"], tcp: ["istio"] } as const;
/** Stands for the hash of a certificate that nobody has shown. */
const UNKNOWN_HASH = "0".repeat(64);

/** Decides what becomes of what arrives for the application. */
export class InboundExplainer {
  readonly #snapshot: Snapshot;
  readonly #ports: InboundPorts;
  readonly #authorizer: Authorizer;
  /** Null: no rule for tokens selects the workload. */
  readonly #authn: JwtAuthn | null;
  readonly #http: HttpDecisions;
  readonly #providers: ExternalAuthorizers;
  readonly #dryRun: DryRun;

  /** `clock`: a token is valid at some times only. */
  constructor(snapshot: Snapshot, dryRun: DryRun, clock: Clock = systemClock) {
    this.#snapshot = snapshot;
    this.#ports = new InboundPorts(snapshot.inbound);
    this.#authorizer = new Authorizer(snapshot.inbound.authorization);
    const { jwtRules } = snapshot.inbound;
    this.#authn = jwtRules === undefined ? null : new JwtAuthn(jwtRules, new Map(), { clock, keysMissing: () => undefined });
    this.#http = new HttpDecisions("inbound", snapshot, dryRun);
    this.#dryRun = dryRun;
    const { externalAuthorizers = [] } = snapshot.inbound;
    // What they would say nobody can tell.
    const unasked: ExternalAuthorizer = { check: () => new Promise(() => {}) };
    this.#providers = { find: (name) => (externalAuthorizers.some((authorizer) => authorizer.name === name) ? unasked : null), notAsked() {} };
  }

  /** Verifies the token that a request carries, which takes longer than an explanation waits. */
  async prepare(request: ExplainRequest): Promise<void> {
    if (this.#authn === null || request.jwt !== null || request.protocol !== "http") return;
    const read = readRequest(request, false, "localhost");
    if (read instanceof ProxyError) return;
    await loadJose();
    await this.#authn.authenticate(read.head);
  }

  /** @throws InvalidExplainRequest when nobody can tell which port is meant. */
  explain(request: ExplainRequest): Explanation {
    const local = this.#local(request);
    const port = this.#ports.of(local.port);
    const { mtls: mode, protocol } = port.spec;
    const hasOwnTls = port.spec.tls !== undefined;
    const isTls = request.tls ?? (hasOwnTls || (request.from !== null && mode !== "DISABLE"));
    const facts: ConnectionFacts = { remote: { address: canonicalAddress(request.sourceIp ?? "127.0.0.1"), port: 0 }, local, isCaptured: port.spec.bind === null, tls: null };
    const scene: Scene = { direction: "inbound", facts, destination: `${local.address}:${local.port}`, listener: this.#listenerOf(port), mtls: { mode, isTls, peer: null, ...writtenAt(port.spec.mtlsProvenance ?? null) } };
    const chain = chooseInboundChain(mode, protocol, observedOf(request, isTls && (hasOwnTls || mode !== "DISABLE"), isTls), hasOwnTls);
    if (chain.kind === "refuse") return resetOf(scene, request.protocol, chain.reason, describeRefusal(chain.reason, facts), "NR");
    if (chain.kind === "terminate") return this.#terminate(scene, port, chain.protocol, request);
    if (chain.kind === "terminate-own") return this.#serve(withTls(scene, this.#tlsFacts(request, null)), port, chain.protocol, request, request.protocol === "http");
    // Whoever serves plaintext HTTP there meets the first bytes of a handshake, or whatever else is no HTTP.
    const isHttp = request.protocol === "http" && !isTls;
    return this.#serve(scene, port, chain.protocol, request, isHttp);
  }

  #terminate(scene: Scene, port: InboundPort, protocol: "http" | "tcp", request: ExplainRequest): Explanation {
    const { from } = request;
    if (from === null) return resetOf(scene, request.protocol, "tls_peer_no_certificate", "the caller presents no certificate of the mesh: `from` names nobody");
    const id = parseSpiffeId(from);
    const { trustDomains: ours, trustSources = [] } = this.#snapshot;
    const trustDomains = [...new Set([...ours, ...trustSources.flatMap((source) => source.trustDomains)])];
    if (typeof id === "string" || !trustDomains.includes(id.trustDomain)) {
      return resetOf(scene, request.protocol, "tls_peer_wrong_trust_domain", `the caller proved to be ${from}, whose trust domain is none of ${trustDomains.join(", ")}`);
    }
    const secured = withTls(scene, this.#tlsFacts(request, { spiffeId: from, hash: UNKNOWN_HASH, subject: "", dnsNames: [], expiresAtMs: Number.MAX_SAFE_INTEGER }));
    return this.#serve(secured, port, protocol, request, request.protocol === "http");
  }

  #tlsFacts({ sni }: ExplainRequest, peer: PeerCertificate | null): TlsFacts {
    const { trustDomain, namespace, serviceAccount } = this.#snapshot.workload;
    return { peer, ownSpiffeId: workloadSpiffeId(trustDomain, namespace, serviceAccount), serverName: sni, alpn: null };
  }

  #serve(scene: Scene, port: InboundPort, protocol: "http" | "tcp", request: ExplainRequest, isHttp: boolean): Explanation {
    if (protocol === "tcp") return this.#opaque(scene, port);
    if (!isHttp) return malformedOf(scene, new ProxyError("codec_error", "invalid method"));
    const read = (): ReadRequest | ProxyError => readRequest(request, scene.facts.tls !== null, scene.destination);
    const first = read();
    if (first instanceof ProxyError) return malformedOf(scene, first);
    const token = new ExplainedToken(this.#authn, request.jwt);
    const jwt = { authn: () => token, countToken: () => undefined };
    const accounts: FilterAccounts = new Map([
      ["jwt-authn", () => token.account()],
      ["ext-authz", (asked) => accountOfProvider(this.#authorizer, factsOf(asked), (name) => this.#providers.find(name) !== null)],
      ["rate-limit", accountOfRateLimits], ["sni", accountOfServerName],
      ["rbac", (asked) => accountOfVerdict(this.#authorizer, factsOf(asked))],
    ]);
    const filters = inboundFilters({ jwt, providers: this.#providers, allowsForeignHosts: () => this.#snapshot.inbound.allowsForeignHosts ?? false, gates: DRY_GATES, authorizer: () => this.#authorizer, journal: null });
    const decision = this.#http.decide({ facts: scene.facts, routing: port.routing, filters, accounts, read: () => read() as ReadRequest });
    const tried = decision.route === null ? [] : [{ route: decision.route, failed: null }];
    return httpOf(scene, decision, { virtualHost: null, tried }, this.#dryRun);
  }

  #opaque(scene: Scene, port: InboundPort): Explanation {
    const facts = new AuthorizationFacts(scene.facts, null);
    const asked = accountOfProvider(this.#authorizer, facts, (name) => this.#isAskedOverGrpc(name));
    const custom = this.#authorizer.custom(facts);
    const isDecidedHere = custom === null || this.#isAskedOverGrpc(custom.provider ?? "");
    const verdict = isDecidedHere ? this.#authorizer.check(facts) : custom;
    const filters: ExplainedFilter[] = [];
    if (asked !== null) filters.push({ name: "ext-authz", verdict: isDecidedHere ? "skipped" : "deny", ...asked });
    if (isDecidedHere) filters.push({ name: "rbac", verdict: verdict.isAllowed ? "pass" : "deny", ...accountOfVerdict(this.#authorizer, facts) });
    const explanation = opaqueOf(scene, port.destination.clusters, this.#dryRun, null, filters);
    if (verdict.isAllowed) return explanation;
    return { ...explanation, verdict: "deny", flag: "-", details: `rbac_access_denied_matched_policy[${verdict.id}]`, clusters: [], route: null };
  }

  /** Over HTTP nobody is asked about opaque connections. */
  #isAskedOverGrpc(provider: string): boolean {
    return this.#snapshot.inbound.externalAuthorizers?.some(({ name, transport }) => name === provider && transport === "grpc") ?? false;
  }

  /** Where it was sent to: what `to` says, else the port of the URL if the workload has it, else its only port. */
  #local(request: ExplainRequest): ConnectionFacts["local"] {
    const own = this.#snapshot.workload.addresses[0] ?? "127.0.0.1";
    if (request.to !== null) {
      const { host, port } = splitHostPort(request.to);
      if (port === null) throw new InvalidExplainRequest("to: names no port");
      return { address: parseIpAddress(host) === null ? own : canonicalAddress(host), port };
    }
    const authority = dialledBy(request);
    const named = authority === null || authority === "" ? null : splitHostPort(authority, "the host of the URL").port;
    const { ports } = this.#snapshot.inbound;
    if (named !== null && ports.some(({ port }) => port === named)) return { address: own, port: named };
    const [only] = ports;
    if (ports.length === 1 && only !== undefined) return { address: own, port: only.port };
    throw new InvalidExplainRequest(`to: is required: the workload has ${ports.length === 0 ? "no ports of its own" : `the ports ${ports.map(({ port }) => port).join(", ")}`}`);
  }

  #listenerOf({ spec }: InboundPort): string {
    if (spec.port === 0) return "passthrough";
    return `${spec.bind?.address ?? "0.0.0.0"}_${spec.port}`;
  }
}

/** The same once TLS was terminated. */
function withTls(scene: Scene, tls: TlsFacts): Scene {
  return { ...scene, facts: { ...scene.facts, tls }, mtls: scene.mtls === null ? null : { ...scene.mtls, peer: tls.peer?.spiffeId ?? null } };
}

/** What the first bytes of a connection would show. `isSeen`: somebody looks for TLS, and there is some. */
function observedOf({ protocol, from }: ExplainRequest, isSeen: boolean, isTls: boolean): Observed {
  if (isSeen) return { kind: "tls", alpn: from === null ? [] : MESH_ALPN[protocol] };
  return { kind: protocol === "http" && !isTls ? "http" : "opaque" };
}
