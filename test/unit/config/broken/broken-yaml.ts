import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/** One broken configuration: what is wrong with it, its YAML, and the one line that `outrider check` must print first. */
export type BrokenCase = readonly [title: string, yaml: string, message: string];

/** The errors of a file, each without its place, and whether anything of it would be applied. */
export function errorsOf(yaml: string, file = "f.yaml"): { readonly errors: readonly string[]; readonly isRefused: boolean } {
  const { parsed } = parseFile(file, new TextEncoder().encode(yaml));
  const problems = [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)];
  const errors = problems.filter(({ severity }) => severity === "error").map((problem) => formatProblem(problem).replace(/^[^:]*:\d+:\d+: error: /, ""));
  return { errors, isRefused: parsed.objects.every((object) => object.resource === null) };
}

/** Objects with nothing but a spec, in flow notation. */
const objectOf = (apiVersion: string, kind: string) => (spec: string): string => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a, namespace: shop}\nspec: ${spec}\n`;

export const virtualService = objectOf("networking.istio.io/v1", "VirtualService");
export const destinationRule = objectOf("networking.istio.io/v1", "DestinationRule");
export const serviceEntry = objectOf("networking.istio.io/v1", "ServiceEntry");
export const workloadEntry = objectOf("networking.istio.io/v1", "WorkloadEntry");
export const sidecar = objectOf("networking.istio.io/v1", "Sidecar");
export const gateway = objectOf("networking.istio.io/v1", "Gateway");
export const proxyConfig = objectOf("networking.istio.io/v1beta1", "ProxyConfig");
export const authorizationPolicy = objectOf("security.istio.io/v1", "AuthorizationPolicy");
export const peerAuthentication = objectOf("security.istio.io/v1", "PeerAuthentication");
export const requestAuthentication = objectOf("security.istio.io/v1", "RequestAuthentication");
export const telemetry = objectOf("telemetry.istio.io/v1", "Telemetry");
export const service = objectOf("v1", "Service");
/** One rule of a VirtualService with a route, and further fields. */
export const rule = (fields: string): string => virtualService(`{hosts: [reviews], http: [{route: [{destination: {host: reviews}}], ${fields}}]}`);
/** A DestinationRule with a policy. */
export const policy = (fields: string): string => destinationRule(`{host: reviews, trafficPolicy: {${fields}}}`);
