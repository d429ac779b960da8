import { expect, it } from "vitest";
import { destinationRule, errorsOf, gateway, policy, rule, serviceEntry, sidecar, virtualService, workloadEntry } from "./broken-yaml.ts";
import type { BrokenCase } from "./broken-yaml.ts";

/* Traffic configuration as people break it, each with the exact first message. */

const VS = "VirtualService shop/a: spec";
const VIRTUAL_SERVICES: readonly BrokenCase[] = [
  ["a misspelt field", virtualService("{hots: [reviews], http: []}"), `${VS}.hots: unknown field; did you mean "hosts"?`],
  ["snake case", rule("mirror_percentage: {value: 1}"), `${VS}.http[0].mirror_percentage: unknown field; did you mean "mirrorPercentage"?`],
  ["a mapping for a list", virtualService("{hosts: [reviews], http: {route: []}}"), `${VS}.http: must be a list, not a mapping`],
  ["a text for a list", virtualService("{hosts: reviews}"), `${VS}.hosts: must be a list, not "reviews"`],
  ["a text for a number", virtualService("{hosts: [reviews], http: [{route: [{destination: {host: reviews}, weight: '90'}]}]}"), `${VS}.http[0].route[0].weight: must be a whole number from 0 to 2147483647, not "90"`],
  ["a negative weight", virtualService("{hosts: [reviews], http: [{route: [{destination: {host: reviews}, weight: -1}]}]}"), `${VS}.http[0].route[0].weight: must be a whole number from 0 to 2147483647, not -1`],
  ["weights that are all 0", virtualService("{hosts: [reviews], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}"), `${VS}.http[0].route: the weights of several destinations must not all be 0`],
  ["a destination without host", virtualService("{hosts: [reviews], http: [{route: [{destination: {subset: v1}}]}]}"), `${VS}.http[0].route[0].destination.host: is required`],
  ["a port out of range", virtualService("{hosts: [reviews], http: [{route: [{destination: {host: a, port: {number: 70000}}}]}]}"), `${VS}.http[0].route[0].destination.port.number: must be a whole number from 1 to 65535, not 70000`],
  ["no rules at all", virtualService("{hosts: [reviews]}"), `${VS}: must have at least one of http, tls and tcp`],
  ["a rule that does nothing", virtualService("{hosts: [reviews], http: [{match: [{uri: {prefix: /}}]}]}"), `${VS}.http[0]: needs one of route, redirect, directResponse and delegate`],
  ["redirect beside route", rule("redirect: {uri: /b}"), `${VS}.http[0].route: must not stand beside redirect`],
  ["a redirect that says nothing", virtualService("{hosts: [reviews], http: [{redirect: {redirectCode: 302}}]}"), `${VS}.http[0].redirect: needs one of uri, prefixRewrite, authority, scheme and port`],
  ["a redirect with status 200", virtualService("{hosts: [reviews], http: [{redirect: {uri: /, redirectCode: 200}}]}"), `${VS}.http[0].redirect.redirectCode: must be one of 301, 302, 303, 307, 308, not 200`],
  ["a redirect to a line of its own", virtualService(String.raw`{hosts: [reviews], http: [{redirect: {uri: "/a\r\nSet-Cookie: b"}}]}`), `${VS}.http[0].redirect.uri: has characters that cannot stand in a Location header; percent-encode them`],
  ["a redirect to a host that no header can name", virtualService(String.raw`{hosts: [reviews], http: [{redirect: {authority: "a\u010a"}}]}`), `${VS}.http[0].redirect.authority: has characters that cannot stand in a Location header; percent-encode them`],
  ["delegate beside route", rule("delegate: {name: b}"), `${VS}.http[0].route: must not stand beside delegate`],
  ["a delegate that delegates", virtualService("{http: [{delegate: {name: b}}]}"), `${VS}.http[0].delegate: a delegate must not delegate further`],
  ["a delegate with gateways", virtualService("{gateways: [mesh], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.gateways: a VirtualService without hosts (a delegate) must not name gateways`],
  ["timeout 0", rule("timeout: 0s"), `${VS}.http[0].timeout: must be a duration of at least 1ms, not "0s"; leave the field out for its default`],
  ["a duration without unit", rule("timeout: '10'"), `${VS}.http[0].timeout: must be a duration such as "1.5s" or "250ms", not "10"`],
  ["a duration in days", rule("timeout: 1d"), `${VS}.http[0].timeout: must be a duration such as "1.5s" or "250ms", not "1d"`],
  ["a duration in microseconds", rule("timeout: 1500us"), `${VS}.http[0].timeout: must be a whole number of milliseconds, not "1500us"`],
  ["an unknown retry condition", rule("retries: {attempts: 2, retryOn: 'gateway-errors'}"), `${VS}.http[0].retries.retryOn: "gateway-errors" is neither a retry condition nor an HTTP status; did you mean "gateway-error"?`],
  ["retries of none with a condition", rule("retries: {attempts: 0, retryOn: 5xx}"), `${VS}.http[0].retries.attempts: is 0, which turns retries off, so perTryTimeout, retryOn and retryRemoteLocalities must not be set`],
  ["two kinds of match", rule("match: [{uri: {exact: /a, prefix: /b}}]"), `${VS}.http[0].match[0].uri: set only one of exact, prefix, regex`],
  ["a back-reference", rule("match: [{uri: {regex: '(a)\\1'}}]"), `${VS}.http[0].match[0].uri.regex: "(a)\\\\1" is not a regular expression of RE2 syntax: error parsing regexp: invalid escape sequence: \`\\1\``],
  ["an open group", rule("match: [{headers: {x-a: {regex: '(a'}}}]"), `${VS}.http[0].match[0].headers.x-a.regex: "(a" is not a regular expression of RE2 syntax: error parsing regexp: missing closing ): \`(a\``],
  ["a header name with a space", rule("match: [{headers: {'x a': {exact: b}}}]"), `${VS}.http[0].match[0].headers["x a"]: "x a" is not a header name`],
  ["a percent sign in a header", rule("headers: {request: {set: {x-a: '100%'}}}"), `${VS}.http[0].headers.request.set.x-a: is not a header value; a literal percent sign is written %%`],
  ["authority set twice", rule("rewrite: {authority: b}, headers: {request: {set: {Host: c}}}"), `${VS}.http[0]: the authority is set more than once by rewrite and headers`],
  ["a fault of no kind", rule("fault: {}"), `${VS}.http[0].fault: needs one of delay and abort`],
  ["a percentage over 100", rule("fault: {abort: {httpStatus: 503, percentage: {value: 101}}}"), `${VS}.http[0].fault.abort.percentage.value: must be a number from 0 to 100, not 101`],
  ["an unknown gRPC status", rule("fault: {abort: {grpcStatus: UNAVAILABEL}}"), `${VS}.http[0].fault.abort.grpcStatus: "UNAVAILABEL" is not the name of a gRPC status; did you mean "UNAVAILABLE"?`],
  ["mirror and mirrors", rule("mirror: {host: b}, mirrors: [{destination: {host: c}}]"), `${VS}.http[0].mirrors: must not stand beside mirror`],
  ["CORS of an unknown method", rule("corsPolicy: {allowMethods: [get]}"), `${VS}.http[0].corsPolicy.allowMethods[0]: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, *, not "get"; did you mean "GET"?`],
  ["hosts that overlap", virtualService("{hosts: ['*.shop', web.shop], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.hosts[1]: overlaps with host "*.shop"`],
  ["every host of the mesh", virtualService("{hosts: ['*'], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.hosts[0]: the wildcard "*" is not allowed for gateway "mesh"`],
  ["a wildcard in the middle", virtualService("{hosts: [a.*.b], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.hosts[0]: "a.*.b" is not a host name`],
  ["a server name outside of hosts", virtualService("{hosts: [a.test], tls: [{match: [{sniHosts: [b.test]}], route: [{destination: {host: a.test}}]}]}"), `${VS}.tls[0].match[0].sniHosts[0]: "b.test" is not covered by the hosts of this VirtualService`],
  ["a bad CIDR block", virtualService("{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/40]}], route: [{destination: {host: a}}]}]}"), `${VS}.tcp[0].match[0].destinationSubnets[0]: must be an IP address or a CIDR block, not "10.0.0.0/40"`],
  ["exportTo twice", virtualService("{hosts: [a], exportTo: [b, b], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.exportTo[1]: "b" is there twice`],
  ["exportTo nobody", virtualService("{hosts: [a], exportTo: ['~'], http: [{route: [{destination: {host: a}}]}]}"), `${VS}.exportTo[0]: "~" is not allowed here; use "." to keep it to its own namespace`],
];

const DR = "DestinationRule shop/a: spec";
const DESTINATION_RULES: readonly BrokenCase[] = [
  ["no host", destinationRule("{subsets: []}"), `${DR}.host: is required`],
  ["an empty policy", policy(""), `${DR}.trafficPolicy: must set at least one of its fields`],
  ["an unknown balancer", policy("loadBalancer: {simple: LEAST_REQUESTS}"), `${DR}.trafficPolicy.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST, not "LEAST_REQUESTS"; did you mean "LEAST_REQUEST"?`],
  ["two balancers", policy("loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}"), `${DR}.trafficPolicy.loadBalancer.consistentHash: must not stand beside simple`],
  ["two keys of a hash", policy("loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: x}}"), `${DR}.trafficPolicy.loadBalancer.consistentHash: set only one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName`],
  ["a table size that is no prime", policy("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}"), `${DR}.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: must be a prime number up to 5000011`],
  ["weights of localities that do not add up", policy("loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, b: 40}}]}}"), `${DR}.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: the weights must add up to 100, not 90`],
  ["a failover to itself", policy("loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}"), `${DR}.trafficPolicy.loadBalancer.localityLbSetting.failover[0]: from and to must differ`],
  ["an empty connection pool", policy("connectionPool: {}"), `${DR}.trafficPolicy.connectionPool: must set tcp or http`],
  ["a limit of -1", policy("connectionPool: {tcp: {maxConnections: -1}}"), `${DR}.trafficPolicy.connectionPool.tcp.maxConnections: must be a whole number from 0 to 2147483647, not -1`],
  ["half a connection", policy("connectionPool: {tcp: {maxConnections: 1.5}}"), `${DR}.trafficPolicy.connectionPool.tcp.maxConnections: must be a whole number from 0 to 2147483647, not 1.5`],
  ["more than all endpoints ejected", policy("outlierDetection: {maxEjectionPercent: 150}"), `${DR}.trafficPolicy.outlierDetection.maxEjectionPercent: must be a whole number from 0 to 100, not 150`],
  ["local failures that are not split", policy("outlierDetection: {consecutiveLocalOriginFailures: 3}"), `${DR}.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: needs splitExternalLocalOriginErrors: true`],
  ["MUTUAL without certificate", policy("tls: {mode: MUTUAL, privateKey: k}"), `${DR}.trafficPolicy.tls.clientCertificate: is required with mode MUTUAL`],
  ["ISTIO_MUTUAL with a certificate", policy("tls: {mode: ISTIO_MUTUAL, privateKey: k}"), `${DR}.trafficPolicy.tls.privateKey: must not be set with mode ISTIO_MUTUAL, which uses the workload's own certificate`],
  ["a port with settings twice", policy("portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}, {port: {number: 80}, tls: {mode: DISABLE}}]"), `${DR}.trafficPolicy.portLevelSettings[1].port.number: port 80 has settings already`],
  ["a subset twice", destinationRule("{host: a, subsets: [{name: v1}, {name: v1}]}"), `${DR}.subsets[1].name: subset "v1" is there twice`],
  ["a subset name with a dot", destinationRule("{host: a, subsets: [{name: v1.0}]}"), `${DR}.subsets[0].name: "v1.0" is not a subset name (letters, digits and '-')`],
  ["a rule for some workloads, exported", destinationRule("{host: a, workloadSelector: {matchLabels: {app: a}}, exportTo: ['*']}"), `${DR}.exportTo[0]: must be "." beside workloadSelector, which chooses workloads of this namespace alone`],
  ["a wildcard in a label", destinationRule("{host: a, subsets: [{name: v1, labels: {version: 'v*'}}]}"), `${DR}.subsets[0].labels: label names must not be empty and neither names nor values may contain '*'`],
];

const SE = "ServiceEntry shop/a: spec";
const SERVICE_ENTRIES: readonly BrokenCase[] = [
  ["no hosts", serviceEntry("{hosts: []}"), `${SE}.hosts: must name at least one host`],
  ["every host", serviceEntry("{hosts: ['*']}"), `${SE}.hosts[0]: the wildcard "*" alone is not allowed`],
  ["an address for a host", serviceEntry("{hosts: [10.0.0.1]}"), `${SE}.hosts[0]: "10.0.0.1" is neither a host name nor an IP address`],
  ["a port name twice", serviceEntry("{hosts: [a.test], ports: [{number: 80, name: http}, {number: 81, name: http}]}"), `${SE}.ports[1].name: port name "http" is there twice`],
  ["a bad address", serviceEntry("{hosts: [a.test], addresses: [10.0.0.256]}"), `${SE}.addresses[0]: must be an IP address or a CIDR block, not "10.0.0.256"`],
  ["an unknown resolution", serviceEntry("{hosts: [a.test], resolution: dns}"), `${SE}.resolution: must be one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS, not "dns"; did you mean "DNS"?`],
  ["endpoints with resolution NONE", serviceEntry("{hosts: [a.test], endpoints: [{address: 10.0.0.1}]}"), `${SE}.endpoints: must not be set with resolution NONE, which forwards to the original destination`],
  ["a name with resolution STATIC", serviceEntry("{hosts: [a.test], resolution: STATIC, endpoints: [{address: b.test}]}"), `${SE}.endpoints[0].address: must be an IP address with resolution STATIC, not "b.test"`],
  ["a wildcard to resolve", serviceEntry("{hosts: ['*.test'], resolution: DNS}"), `${SE}.hosts: a wildcard cannot be resolved; resolution DNS needs a full host name, or endpoints`],
  ["endpoints and a selector", serviceEntry("{hosts: [a.test], resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {app: a}}}"), `${SE}.workloadSelector: must not stand beside endpoints`],
  ["a WorkloadEntry without address", workloadEntry("{ports: {http: 80}}"), "WorkloadEntry shop/a: spec.address: is required"],
  ["a WorkloadEntry on a relative socket", workloadEntry("{address: 'unix://run/a'}"), "WorkloadEntry shop/a: spec.address: must be unix:// followed by an absolute path of a socket"],
];

const SC = "Sidecar shop/a: spec";
const SIDECARS: readonly BrokenCase[] = [
  ["an egress host without namespace", sidecar("{egress: [{hosts: [reviews]}]}"), `${SC}.egress[0].hosts[0]: must be namespace/dnsName, such as "./reviews" or "*/reviews"`],
  ["no egress hosts", sidecar("{egress: [{hosts: []}]}"), `${SC}.egress[0].hosts: must name at least one host`],
  ["a socket without port", sidecar("{egress: [{captureMode: NONE, hosts: ['*/*']}]}"), `${SC}.egress[0].port: is required with captureMode NONE`],
  ["a default endpoint elsewhere", sidecar("{ingress: [{port: {number: 80}, defaultEndpoint: '10.0.0.1:80'}]}"), `${SC}.ingress[0].defaultEndpoint: must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///path`],
  ["an ingress port twice", sidecar("{ingress: [{port: {number: 80}}, {port: {number: 80}}]}"), `${SC}.ingress[1].port.number: port 80 is there twice`],
  ["an unknown traffic policy", sidecar("{outboundTrafficPolicy: {mode: ALLOW}}"), `${SC}.outboundTrafficPolicy.mode: must be one of REGISTRY_ONLY, ALLOW_ANY, not "ALLOW"`],
  ["a Gateway without hosts", gateway("{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: []}]}"), "Gateway shop/a: spec.servers[0].hosts: must name at least one host"],
  ["a Gateway with a misspelt field", gateway("{selectr: {app: a}}"), "Gateway shop/a: spec.selectr: unknown field; did you mean \"selector\"?"],
];

it.each([...VIRTUAL_SERVICES, ...DESTINATION_RULES, ...SERVICE_ENTRIES, ...SIDECARS])("%s", (_title, yaml, message) => {
  const { errors, isRefused } = errorsOf(yaml);
  expect(errors[0]).toBe(message);
  expect(isRefused).toBe(true);
});
