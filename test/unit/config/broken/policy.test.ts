import { describe, expect, it } from "vitest";
import { authorizationPolicy, errorsOf, peerAuthentication, proxyConfig, requestAuthentication, service, telemetry, virtualService } from "./broken-yaml.ts";
import type { BrokenCase } from "./broken-yaml.ts";

/* Policies, telemetry, the mesh and the notation itself as people break them, each with the exact first message. */

const AP = "AuthorizationPolicy shop/a: spec";
const RA = "RequestAuthentication shop/a: spec";
const POLICIES: readonly BrokenCase[] = [
  ["an unknown action", authorizationPolicy("{action: REFUSE}"), `${AP}.action: must be one of ALLOW, DENY, AUDIT, CUSTOM, not "REFUSE"`],
  ["a misspelt selector", authorizationPolicy("{selecter: {matchLabels: {app: web}}}"), `${AP}.selecter: unknown field; did you mean "selector"?`],
  ["labels without matchLabels", authorizationPolicy("{selector: {app: web}}"), `${AP}.selector.app: unknown field; labels go into "matchLabels"`],
  ["a source without its name", authorizationPolicy("{rules: [{from: [{source: {namespaces: [a]}, principals: [a]}]}]}"), `${AP}.rules[0].from[0].principals: unknown field; it belongs in "source"`],
  ["a source that is a list", authorizationPolicy("{rules: [{from: [{source: [{namespaces: [a]}]}]}]}"), `${AP}.rules[0].from[0].source.0: is an entry of a list where a mapping belongs; write the fields without "- "`],
  ["a port that is a number", authorizationPolicy("{rules: [{to: [{operation: {ports: [80]}}]}]}"), `${AP}.rules[0].to[0].operation.ports[0]: must be a string, not 80; put it in quotes`],
  ["a condition on a header, misspelt", authorizationPolicy("{rules: [{when: [{key: 'request.header[x]', values: [a]}]}]}"), `${AP}.rules[0].when[0].key: "request.header[x]" is not an attribute that policies know; did you mean "request.headers[x]"?`],
  ["a text for a list of principals", authorizationPolicy("{rules: [{from: [{source: {principals: a}}]}]}"), `${AP}.rules[0].from[0].source.principals: must be a list, not "a"`],
  ["DENY of nothing", authorizationPolicy("{action: DENY}"), `${AP}.rules: is required with action DENY; without rules the policy would never match`],
  ["an empty source", authorizationPolicy("{rules: [{from: [{source: {}}]}]}"), `${AP}.rules[0].from[0].source: must set at least one field; leave "from" out to accept every source`],
  ["an empty list", authorizationPolicy("{rules: [{to: [{operation: {methods: []}}]}]}"), `${AP}.rules[0].to[0].operation.methods: must not be an empty list; leave the field out instead`],
  ["an empty value", authorizationPolicy("{rules: [{to: [{operation: {methods: ['']}}]}]}"), `${AP}.rules[0].to[0].operation.methods[0]: must not be empty`],
  ["a port out of range", authorizationPolicy("{rules: [{to: [{operation: {ports: ['0']}}]}]}"), `${AP}.rules[0].to[0].operation.ports[0]: must be a port number from 1 to 65535, not "0"`],
  ["a bad block of addresses", authorizationPolicy("{rules: [{from: [{source: {ipBlocks: ['fe80::/129']}}]}]}"), `${AP}.rules[0].from[0].source.ipBlocks[0]: must be an IP address or a CIDR block, not "fe80::/129"`],
  ["a caller's name in a CUSTOM rule", authorizationPolicy("{action: CUSTOM, provider: {name: a}, rules: [{from: [{source: {principals: [a]}}]}]}"), `${AP}.rules[0].from[0].source.principals: is not allowed with action CUSTOM; leave who calls to a DENY or ALLOW policy beside it`],
  ["an unknown condition", authorizationPolicy("{rules: [{when: [{key: request.header, values: [a]}]}]}"), `${AP}.rules[0].when[0].key: "request.header" is not an attribute that policies know; did you mean "request.headers[NAME]"?`],
  ["a condition without values", authorizationPolicy("{rules: [{when: [{key: source.ip}]}]}"), `${AP}.rules[0].when[0]: needs values or notValues`],
  ["principals beside service accounts", authorizationPolicy("{rules: [{from: [{source: {principals: [a], serviceAccounts: [b]}}]}]}"), `${AP}.rules[0].from[0].source.principals: must not stand beside serviceAccounts`],
  ["a path template that is none", authorizationPolicy("{rules: [{to: [{operation: {paths: ['/a/{id}']}}]}]}"), `${AP}.rules[0].to[0].operation.paths[0]: may use only {*} and {**} as path template operators`],
  ["CUSTOM without provider", authorizationPolicy("{action: CUSTOM, rules: [{}]}"), `${AP}.provider.name: is required with action CUSTOM`],
  ["a provider for ALLOW", authorizationPolicy("{provider: {name: a}, rules: [{}]}"), `${AP}.provider: must not be set with action ALLOW`],
  ["two targets", authorizationPolicy("{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}"), "AuthorizationPolicy shop/a: spec: set only one of selector, targetRef and targetRefs"],
  ["a mode outside of mtls", peerAuthentication("{mode: STRICT}"), "PeerAuthentication shop/a: spec.mode: unknown field; it belongs in \"mtls\""],
  ["a mode for a port by its bare name", peerAuthentication("{selector: {matchLabels: {a: b}}, portLevelMtls: {80: STRICT}}"), "PeerAuthentication shop/a: spec.portLevelMtls.80: must be a mapping, not \"STRICT\"; write { mode: \"STRICT\" }"],
  ["a mode in lower case", peerAuthentication("{mtls: {mode: strict}}"), "PeerAuthentication shop/a: spec.mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT, not \"strict\"; did you mean \"STRICT\"?"],
  ["ports without a selector", peerAuthentication("{portLevelMtls: {'80': {mode: DISABLE}}}"), "PeerAuthentication shop/a: spec.portLevelMtls: needs a selector with labels"],
  ["a port name for a number", peerAuthentication("{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {mode: DISABLE}}}"), "PeerAuthentication shop/a: spec.portLevelMtls.http: \"http\" is not a port number from 1 to 65535"],
  ["a rule without issuer", requestAuthentication("{jwtRules: [{audiences: [a]}]}"), `${RA}.jwtRules[0].issuer: is required without jwksUri or jwks`],
  ["keys from two places", requestAuthentication("{jwtRules: [{issuer: a, jwksUri: 'https://a.test/keys', jwks: '{\"keys\":[]}'}]}"), `${RA}.jwtRules[0].jwks: must not stand beside jwksUri`],
  ["keys from a file", requestAuthentication("{jwtRules: [{issuer: a, jwksUri: 'file:///keys'}]}"), `${RA}.jwtRules[0].jwksUri: must be a URL of http or https`],
  ["keys that are none", requestAuthentication("{jwtRules: [{issuer: a, jwks: 'secret'}]}"), `${RA}.jwtRules[0].jwks: must be a JSON Web Key Set: {"keys": [...]}, in JSON`],
];

const TM = "Telemetry shop/a: spec";
const TELEMETRY: readonly BrokenCase[] = [
  ["a sampling rate as a fraction of a text", telemetry("{tracing: [{randomSamplingPercentage: '10'}]}"), `${TM}.tracing[0].randomSamplingPercentage: must be a number from 0 to 100, not "10"`],
  ["more than all requests", telemetry("{tracing: [{randomSamplingPercentage: 1000}]}"), `${TM}.tracing[0].randomSamplingPercentage: must be a number from 0 to 100, not 1000`],
  ["a tag of two kinds", telemetry("{tracing: [{customTags: {a: {literal: {value: b}, header: {name: c}}}}]}"), `${TM}.tracing[0].customTags.a: needs exactly one of literal, environment, header and formatter`],
  ["an unknown metric", telemetry("{metrics: [{overrides: [{match: {metric: REQUESTS_COUNT}}]}]}"), `${TM}.metrics[0].overrides[0].match.metric: must be one of ALL_METRICS, REQUEST_COUNT, REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE, TCP_OPENED_CONNECTIONS, TCP_CLOSED_CONNECTIONS, TCP_SENT_BYTES, TCP_RECEIVED_BYTES, GRPC_REQUEST_MESSAGES, GRPC_RESPONSE_MESSAGES, not "REQUESTS_COUNT"; did you mean "REQUEST_COUNT"?`],
  ["UPSERT of nothing", telemetry("{metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]}"), `${TM}.metrics[0].overrides[0].tagOverrides.a.value: is required with operation UPSERT`],
  ["REMOVE with a value", telemetry("{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: b}}}]}]}"), `${TM}.metrics[0].overrides[0].tagOverrides.a.value: must not be set with operation REMOVE`],
  ["a mode of Envoy's", telemetry("{accessLogging: [{match: {mode: INBOUND}}]}"), `${TM}.accessLogging[0].match.mode: must be one of CLIENT_AND_SERVER, CLIENT, SERVER, not "INBOUND"`],
  ["a filter that is a text", telemetry("{accessLogging: [{filter: 'response.code >= 400'}]}"), `${TM}.accessLogging[0].filter: must be a mapping, not "response.code >= 400"; write { expression: "response.code >= 400" }`],
  ["a provider by its bare name", telemetry("{tracing: [{providers: [zipkin]}]}"), `${TM}.tracing[0].providers[0]: must be a mapping, not "zipkin"; write { name: "zipkin" }`],
  ["a negative number of threads", proxyConfig("{concurrency: -2}"), "ProxyConfig shop/a: spec.concurrency: must be a whole number from 0 to 2147483647, not -2"],
  ["an environment of numbers", proxyConfig("{environmentVariables: {A: 1}}"), "ProxyConfig shop/a: spec.environmentVariables.A: must be a string, not 1; put it in quotes"],
  ["a Service port out of range", service("{ports: [{port: 80000}]}"), "Service shop/a: spec.ports[0].port: must be <=65535, not 80000"],
];

const NOTATION: readonly BrokenCase[] = [
  ["a key twice", virtualService("{hosts: [a], hosts: [b]}"), "VirtualService shop/a: spec: the key \"hosts\" is there twice"],
  ["a forbidden key", virtualService("{__proto__: {hosts: [a]}}"), "VirtualService shop/a: spec: the key \"__proto__\" is not allowed"],
  ["a constructor", virtualService("{http: [{constructor: {}}]}"), "VirtualService shop/a: spec.http[0]: the key \"constructor\" is not allowed"],
  ["a prototype", virtualService("{http: [{prototype: {}}]}"), "VirtualService shop/a: spec.http[0]: the key \"prototype\" is not allowed"],
  ["a merge key", virtualService("{<<: {hosts: [a]}}"), "VirtualService shop/a: spec: merge keys (<<) are not supported; write the fields out"],
  ["yes for true", virtualService("{hosts: [yes]}"), "VirtualService shop/a: spec.hosts[0]: \"yes\" without quotes means different things to different YAML versions; put it in quotes, or write true, false or a decimal number"],
  ["a tag", virtualService("{hosts: [!!binary YQ==]}"), "VirtualService shop/a: spec.hosts[0]: the tag \"tag:yaml.org,2002:binary\" is not supported"],
  ["a version that does not exist", virtualService("{}").replace("/v1", "/v2"), "VirtualService shop/a: apiVersion: \"networking.istio.io/v2\" is not a version of VirtualService; use networking.istio.io/v1 or networking.istio.io/v1beta1 or networking.istio.io/v1alpha3"],
  ["a misspelt kind", virtualService("{}").replace("VirtualService", "VirtualServise"), "VirtualServise shop/a: kind: \"VirtualServise\" is no kind of this API; did you mean \"VirtualService\"?"],
  ["a field beside the spec", `${virtualService("{}")}specs: {}\n`, "VirtualService shop/a: specs: unknown field; did you mean \"spec\"?"],
  ["no name", virtualService("{}").replace("name: a, ", ""), "metadata.name: is required"],
  ["a name in capitals", virtualService("{}").replace("name: a", "name: A"), "metadata.name: \"A\" is not an object name (lower-case letters, digits, '-' and '.')"],
];

const MESH: readonly BrokenCase[] = [
  ["a misspelt field", "trustDomian: a", "trustDomian: unknown field; did you mean \"trustDomain\"?"],
  ["a trust domain with a scheme", "trustDomain: spiffe://a", "trustDomain: is not a trust domain: \"spiffe://a\" is not a host name"],
  ["an unknown traffic policy", "outboundTrafficPolicy: {mode: ALLOW_ALL}", "outboundTrafficPolicy.mode: must be one of REGISTRY_ONLY, ALLOW_ANY, not \"ALLOW_ALL\"; did you mean \"ALLOW_ANY\"?"],
  ["a retry condition that is none", "defaultHttpRetryPolicy: {attempts: 1, retryOn: everything}", "defaultHttpRetryPolicy.retryOn: \"everything\" is neither a retry condition nor an HTTP status"],
  ["a policy that is empty", "defaultTrafficPolicy: {connectionPool: {}}", "defaultTrafficPolicy.connectionPool: must set tcp or http"],
  ["a provider of two kinds", "extensionProviders: [{name: a, zipkin: {service: z, port: 9411}, prometheus: {}}]", "extensionProviders[0].prometheus: must not stand beside zipkin"],
  ["a provider of no kind", "extensionProviders: [{name: a}]", "extensionProviders[0]: must say what it provides, such as zipkin, opentelemetry or envoyExtAuthzHttp"],
  ["a provider's name twice", "extensionProviders: [{name: a, prometheus: {}}, {name: A, prometheus: {}}]", "extensionProviders[1].name: there is a provider of the name \"A\" already"],
  ["an authorizer's status that is none", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, statusOnError: '99'}}]", "extensionProviders[0].envoyExtAuthzHttp.statusOnError: must be an HTTP status such as \"403\", not \"99\""],
  ["an authorizer's body without a limit", "extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: s, port: 1, includeRequestBodyInCheck: {}}}]", "extensionProviders[0].envoyExtAuthzGrpc.includeRequestBodyInCheck.maxRequestBytes: is required and must be at least 1; leave includeRequestBodyInCheck out to show no body"],
  ["an authorizer by its address", "extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: 'http://s:80', port: 1}}]", "extensionProviders[0].envoyExtAuthzGrpc.service: must be a host name of the registry, or NAMESPACE/HOST, without scheme and port, not \"http://s:80\""],
  ["an authorizer's path that is none", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, pathPrefix: check}}]", "extensionProviders[0].envoyExtAuthzHttp.pathPrefix: must begin with \"/\", and be nothing but a path, not \"check\""],
  ["an authorizer's path with a query", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, pathPrefix: '/a?b'}}]", "extensionProviders[0].envoyExtAuthzHttp.pathPrefix: must have neither query nor fragment"],
  ["all headers for an authorizer", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, includeRequestHeadersInCheck: ['*']}}]", "extensionProviders[0].envoyExtAuthzHttp.includeRequestHeadersInCheck[0]: must not be \"*\": name the headers, or what they begin or end with"],
  ["two stars in a header's name", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, headersToUpstreamOnAllow: ['*a*']}}]", "extensionProviders[0].envoyExtAuthzHttp.headersToUpstreamOnAllow[0]: must be a header name, or the beginning or end of one with \"*\", not \"*a*\""],
  ["a framing header for an authorizer", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, includeAdditionalHeadersInCheck: {Content-Length: '1'}}}]", "extensionProviders[0].envoyExtAuthzHttp.includeAdditionalHeadersInCheck.Content-Length: \"Content-Length\" is no header that can be set"],
  ["a line end for an authorizer", "extensionProviders: [{name: a, envoyExtAuthzHttp: {service: s, port: 1, includeAdditionalHeadersInCheck: {x-a: \"a\\r\\nb: c\"}}}]", "extensionProviders[0].envoyExtAuthzHttp.includeAdditionalHeadersInCheck.x-a: \"a\\r\\nb: c\" is not a header value"],
  ["a misspelt field of the proxy", "defaultConfig: {concurency: 2}", "defaultConfig.concurency: unknown field; did you mean \"concurrency\"?"],
  ["a connect timeout of 0", "connectTimeout: 0s", "connectTimeout: must be a duration of at least 1ms, not \"0s\"; leave the field out for its default"],
];

describe("policies, telemetry and notation", () => {
  it.each([...POLICIES, ...TELEMETRY, ...NOTATION])("%s", (_title, yaml, message) => {
    const { errors, isRefused } = errorsOf(yaml);
    expect(errors[0]).toBe(message);
    expect(isRefused).toBe(true);
  });
});

describe("the mesh", () => {
  it.each(MESH)("%s", (_title, yaml, message) => {
    const { errors, isRefused } = errorsOf(yaml, "mesh.yaml");
    expect(errors[0]).toBe(`MeshConfig istio-system/istio: ${message}`);
    expect(isRefused).toBe(true);
  });
});
