import { CLUSTER_DOMAIN, isWildcard } from "./host-name.ts";
import type { Service } from "./service.ts";

/**
 * The `Host` values by which a workload may address a service (spec/02 2.3), lower-case and without port: full name with
 * and without final dot, the short forms that resolve in the workload's namespace, and the virtual IPs.
 *
 * @param aliases ExternalName hosts that stand for this service.
 */
export function domainsOf(service: Service, clientNamespace: string, aliases: readonly string[]): string[] {
  const names = namesOf(service.host, service.namespace, service.isKubernetes, clientNamespace);
  // The pods of a headless service have names of their own below it.
  if (service.isHeadless) names.push(...names.map((name) => `*.${name}`));
  for (const alias of aliases) names.push(...namesOf(alias, alias.split(".")[1] ?? "", alias.endsWith(`.svc.${CLUSTER_DOMAIN}`), clientNamespace));
  for (const address of service.addresses) names.push(bracketed(address));
  return [...new Set(names)];
}

/** The domains of a host that only a VirtualService names. */
export function domainsOfHost(host: string, namespace: string, clientNamespace: string): string[] {
  const isKubernetes = host.endsWith(`.${namespace}.svc.${CLUSTER_DOMAIN}`);
  return isWildcard(host) ? [host] : namesOf(host, namespace, isKubernetes, clientNamespace);
}

function namesOf(host: string, namespace: string, isKubernetes: boolean, clientNamespace: string): string[] {
  if (isWildcard(host)) return [host];
  const names = [bracketed(host), `${host}.`];
  const suffix = `.${namespace}.svc.${CLUSTER_DOMAIN}`;
  if (!isKubernetes || !host.endsWith(suffix)) return host.includes(":") ? [bracketed(host)] : names;
  const name = host.slice(0, -suffix.length);
  names.push(`${name}.${namespace}.svc`, `${name}.${namespace}`);
  if (namespace === clientNamespace) names.push(name);
  return names;
}

/** IPv6 addresses stand in brackets in `Host`. */
function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
