import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/*
 * A mesh as large as is asked for, as the files its users would have: for each service one file with the Service, its
 * EndpointSlice, its VirtualService and, for one in ten, a DestinationRule. Every run writes the same bytes.
 */

export interface MeshSize {
  readonly services: number;
  readonly endpointsPerService: number;
  /** Services with a VirtualService, from the first. */
  readonly virtualServices: number;
}

/** The port every service has, as most services of a mesh do. */
export const SERVICE_PORT = 8080;

/** The host of service `index`. */
export function hostOf(index: number): string {
  return `${nameOf(index)}.${namespaceOf(index)}.svc.cluster.local`;
}

/** Writes the mesh below `folder`; gives the bytes written. */
export function writeMesh(folder: string, size: MeshSize): number {
  mkdirSync(folder, { recursive: true });
  let bytes = 0;
  for (let index = 0; index < size.services; index++) bytes += writeService(folder, index, size, 0);
  return bytes;
}

/**
 * Writes the file of one service anew.
 *
 * @param moved 0 for the endpoints as they were; another number moves the first endpoint to another address.
 */
export function writeService(folder: string, index: number, size: MeshSize, moved: number): number {
  const documents = [service(index), endpointSlice(index, size.endpointsPerService, moved)];
  if (index < size.virtualServices) documents.push(virtualService(index));
  if (index % 10 === 0) documents.push(destinationRule(index));
  const text = documents.join("---\n");
  writeFileSync(join(folder, `${nameOf(index)}.yaml`), text);
  return Buffer.byteLength(text);
}

function nameOf(index: number): string {
  return `service-${index}`;
}

/** Twenty namespaces. */
function namespaceOf(index: number): string {
  return `team-${index % 20}`;
}

function metadata(name: string, index: number): string {
  return `metadata:\n  name: ${name}\n  namespace: ${namespaceOf(index)}\n`;
}

function service(index: number): string {
  return `apiVersion: v1
kind: Service
${metadata(nameOf(index), index)}spec:
  clusterIP: 10.${96 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}
  selector:
    app: ${nameOf(index)}
  ports:
    - name: http
      port: ${SERVICE_PORT}
      targetPort: 8080
`;
}

function endpointSlice(index: number, count: number, moved: number): string {
  const endpoints = Array.from({ length: count }, (_, at) => {
    const number = index * count + at;
    const third = at === 0 ? (moved * 7) % 256 : 0;
    const address = `10.${16 + (number >> 14)}.${third ^ ((number >> 7) & 127)}.${(number & 127) + 1}`;
    return `  - addresses: ["${address}"]
    conditions:
      ready: true
    targetRef:
      kind: Pod
      name: ${nameOf(index)}-${at}
      namespace: ${namespaceOf(index)}
`;
  });
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${nameOf(index)}-abcde
  namespace: ${namespaceOf(index)}
  labels:
    kubernetes.io/service-name: ${nameOf(index)}
addressType: IPv4
ports:
  - name: http
    port: 8080
    protocol: TCP
endpoints:
${endpoints.join("")}`;
}

function virtualService(index: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
${metadata(nameOf(index), index)}spec:
  hosts:
    - ${nameOf(index)}
  http:
    - name: versioned
      match:
        - uri:
            prefix: /v1/
        - headers:
            x-version:
              exact: "1"
      route:
        - destination:
            host: ${nameOf(index)}
            port:
              number: ${SERVICE_PORT}
      timeout: 5s
      retries:
        attempts: 3
        perTryTimeout: 1s
        retryOn: connect-failure,refused-stream
    - name: all
      route:
        - destination:
            host: ${hostOf(index)}
`;
}

function destinationRule(index: number): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
${metadata(nameOf(index), index)}spec:
  host: ${hostOf(index)}
  trafficPolicy:
    loadBalancer:
      simple: LEAST_REQUEST
    connectionPool:
      tcp:
        maxConnections: 100
    outlierDetection:
      consecutive5xxErrors: 5
      interval: 10s
`;
}
