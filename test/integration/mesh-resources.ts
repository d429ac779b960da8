import type { AddressInfo } from "node:net";

/** Anything of a configuration, as its YAML would parse. */
export type Resource = Readonly<Record<string, unknown>>;

/** One endpoint of a service: a pod on loopback, told from the others by its port. */
export interface EndpointOf {
  readonly port: number;
  readonly address?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  /** It has a sidecar that takes mesh mTLS. */
  readonly isMesh?: boolean;
  readonly isReady?: boolean;
}

export interface ServiceOf {
  readonly name: string;
  readonly namespace?: string;
  readonly clusterIP?: string;
  readonly port?: number;
  /** Tells the protocol: `http`, `tcp-redis`, or nothing said. */
  readonly portName?: string;
  readonly targetPort?: number;
  readonly selector?: Readonly<Record<string, string>>;
  readonly endpoints: readonly EndpointOf[];
}

/** A configuration as text; JSON is YAML. */
export function yamlOf(...resources: readonly (Resource | readonly Resource[])[]): string {
  return resources.flat().map((resource) => JSON.stringify(resource)).join("\n---\n");
}

/** A Kubernetes service with an EndpointSlice and a Pod for each endpoint. */
export function service(options: ServiceOf): Resource[] {
  const { name, namespace = "default", clusterIP = "10.96.0.10", port = 9080, portName = "http", endpoints } = options;
  const servicePort = { name: portName, port, targetPort: options.targetPort ?? endpoints[0]?.port ?? port };
  const resource = {
    apiVersion: "v1", kind: "Service", metadata: { name, namespace },
    spec: { clusterIP, selector: options.selector ?? { app: name }, ports: [servicePort] },
  };
  return [resource, ...endpoints.flatMap((endpoint, index) => endpointOf(options, namespace, portName, endpoint, index + 1))];
}

function endpointOf({ name }: ServiceOf, namespace: string, portName: string, endpoint: EndpointOf, number: number): Resource[] {
  const podName = `${name}-${number}`;
  const address = endpoint.address ?? "127.0.0.1";
  const mesh = endpoint.isMesh === true ? { "security.istio.io/tlsMode": "istio" } : {};
  return [
    {
      apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4",
      metadata: { name: podName, namespace, labels: { "kubernetes.io/service-name": name } },
      ports: [{ name: portName, port: endpoint.port }],
      endpoints: [{ addresses: [address], conditions: { ready: endpoint.isReady ?? true }, targetRef: { kind: "Pod", name: podName, namespace } }],
    },
    {
      apiVersion: "v1", kind: "Pod", metadata: { name: podName, namespace, labels: { app: name, ...endpoint.labels, ...mesh } },
      spec: { serviceAccountName: endpoint.serviceAccount ?? name }, status: { podIP: address },
    },
  ];
}

/** A resource of Istio's networking group. */
export function networking(kind: string, name: string, spec: Resource, namespace = "default"): Resource {
  return { apiVersion: "networking.istio.io/v1", kind, metadata: { name, namespace }, spec };
}

/** A resource of Istio's security group. */
export function security(kind: string, name: string, spec: Resource, namespace = "default"): Resource {
  return { apiVersion: "security.istio.io/v1", kind, metadata: { name, namespace }, spec };
}

/** A VirtualService of one host with HTTP rules. */
export function httpRules(host: string, ...http: readonly Resource[]): Resource {
  return networking("VirtualService", host, { hosts: [host], http });
}

/** The mesh's own settings. */
export function meshConfig(settings: Resource): Resource {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: JSON.stringify(settings) } };
}

/** The port of a server that listens. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  return (server.address() as AddressInfo).port;
}
