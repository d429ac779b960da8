import type { Cidr } from "./cidr.ts";

/** Which traffic of a pod is captured, checked and typed. Made by `parseCaptureOptions`; obeyed by `plan`. */
export interface CaptureOptions {
  /** Port of the outbound listener, where REDIRECT sends what the application opens. */
  readonly outboundPort: number;
  /** Port of the inbound listener. */
  readonly inboundPort: number;
  /** The HBONE port; never captured. */
  readonly tunnelPort: number;
  /** Users and groups (numbers or names) whose own traffic is exempt: the proxy's. */
  readonly proxyUids: readonly string[];
  readonly proxyGids: readonly string[];
  /** Ports captured inbound; `*` for all, empty for none. */
  readonly inboundPorts: "*" | readonly number[];
  /** Not captured inbound; obeyed only when `inboundPorts` is `*`, as in Istio. */
  readonly inboundExcludedPorts: readonly number[];
  /** Network interfaces left alone in both directions. */
  readonly excludedInterfaces: readonly string[];
  /** Interfaces of virtual machines inside the pod: what arrives from them is outbound traffic. */
  readonly virtualInterfaces: readonly string[];
  /** Destinations captured outbound; `*` for all, empty for none but `outboundPorts`. */
  readonly includedCidrs: "*" | readonly Cidr[];
  readonly excludedCidrs: readonly Cidr[];
  /** Ports captured outbound whatever the destination. */
  readonly outboundPorts: readonly number[];
  /** Ports never captured outbound, TCP and UDP; stronger than any other rule. */
  readonly outboundExcludedPorts: readonly number[];
  /** Only processes of these groups are captured; `*` for all. */
  readonly ownerGroups: "*" | readonly string[];
  /** With `ownerGroups` `*`: processes of these groups are not captured. */
  readonly excludedOwnerGroups: readonly string[];
  readonly redirectDns: boolean;
  /** Every packet to port 53 rather than only those to the servers below. */
  readonly captureAllDns: boolean;
  readonly dnsServersV4: readonly string[];
  readonly dnsServersV6: readonly string[];
  /** Drop packets conntrack calls INVALID instead of letting them reset a connection. */
  readonly dropInvalid: boolean;
  /** What counts as a loopback destination in IPv4, within 127.0.0.0/8. */
  readonly loopbackCidr: string;
  /** Whether IPv6 gets rules at all. */
  readonly ipv6: boolean;
}
