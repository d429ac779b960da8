/** One option of `outrider init`: names and defaults are Istio's (spec/01-capture 1.2), so that pod templates move over. */
export interface CaptureFlag {
  readonly name: string;
  readonly short?: string;
  /** Null: given only on the command line. */
  readonly environment: string | null;
  readonly kind: "text" | "switch";
  readonly fallback: string;
  /** The default in words, where `fallback` alone does not say it. */
  readonly fallbackText?: string;
  readonly help: string;
}

/** All options, in the order `--help` shows them. */
export const captureFlags = [
  { name: "envoy-port", short: "p", environment: "ENVOY_PORT", kind: "text", fallback: "15001", help: "port of the outbound listener" },
  { name: "inbound-capture-port", short: "z", environment: "INBOUND_CAPTURE_PORT", kind: "text", fallback: "15006", help: "port of the inbound listener" },
  { name: "inbound-tunnel-port", short: "e", environment: "INBOUND_TUNNEL_PORT", kind: "text", fallback: "15008", help: "HBONE port, never captured" },
  { name: "proxy-uid", short: "u", environment: "PROXY_UID", kind: "text", fallback: "", fallbackText: "the user istio-proxy, else 1337", help: "user(s) whose traffic is exempt: the proxy's" },
  { name: "proxy-gid", short: "g", environment: "PROXY_GID", kind: "text", fallback: "", fallbackText: "as --proxy-uid", help: "group(s) whose traffic is exempt" },
  { name: "istio-inbound-interception-mode", short: "m", environment: "ISTIO_INBOUND_INTERCEPTION_MODE", kind: "text", fallback: "REDIRECT", help: "REDIRECT; TPROXY is refused" },
  { name: "istio-inbound-ports", short: "b", environment: "ISTIO_INBOUND_PORTS", kind: "text", fallback: "", help: "inbound ports to capture, * for all, empty for none" },
  { name: "istio-local-exclude-ports", short: "d", environment: "ISTIO_LOCAL_EXCLUDE_PORTS", kind: "text", fallback: "", help: "inbound ports not to capture; counts only with -b '*'" },
  { name: "istio-exclude-interfaces", short: "c", environment: "ISTIO_EXCLUDE_INTERFACES", kind: "text", fallback: "", help: "network interfaces to leave alone" },
  { name: "istio-service-cidr", short: "i", environment: "ISTIO_SERVICE_CIDR", kind: "text", fallback: "", help: "outbound ranges to capture, * for all, empty for none" },
  { name: "istio-service-exclude-cidr", short: "x", environment: "ISTIO_SERVICE_EXCLUDE_CIDR", kind: "text", fallback: "", help: "outbound ranges not to capture" },
  { name: "istio-outbound-ports", short: "q", environment: "ISTIO_OUTBOUND_PORTS", kind: "text", fallback: "", help: "outbound ports to capture whatever the range" },
  { name: "istio-local-outbound-ports-exclude", short: "o", environment: "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", kind: "text", fallback: "", help: "outbound ports not to capture, TCP and UDP" },
  { name: "kube-virt-interfaces", short: "k", environment: "KUBE_VIRT_INTERFACES", kind: "text", fallback: "", help: "interfaces whose arriving traffic counts as outbound" },
  { name: "outbound-owner-groups", environment: "ISTIO_OUTBOUND_OWNER_GROUPS", kind: "text", fallback: "*", help: "capture only processes of these groups, at most 64" },
  { name: "outbound-owner-groups-exclude", environment: "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", kind: "text", fallback: "", help: "with all groups captured, all but these" },
  { name: "outbound-ipv4-loopback-cidr", environment: "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", kind: "text", fallback: "127.0.0.1/32", help: "what counts as a loopback destination, within 127.0.0.0/8" },
  { name: "redirect-dns", environment: "ISTIO_META_DNS_CAPTURE", kind: "switch", fallback: "false", help: "send port 53 to 15053, where the proxy answers with --dns-port 15053" },
  { name: "capture-all-dns", environment: "CAPTURE_ALL_DNS", kind: "switch", fallback: "false", help: "with --redirect-dns: not only to the servers of resolv.conf" },
  { name: "drop-invalid", environment: "INVALID_DROP", kind: "switch", fallback: "false", help: "drop packets that conntrack calls invalid" },
  { name: "dual-stack", environment: "ISTIO_DUAL_STACK", kind: "switch", fallback: "false", help: "capture IPv6 when any address of the pod is IPv6, not only the first" },
  { name: "dry-run", short: "n", environment: "DRY_RUN", kind: "switch", fallback: "false", help: "print the rules, change nothing; needs no privileges" },
  { name: "cleanup", environment: "CLEANUP_ONLY", kind: "switch", fallback: "false", help: "remove the rules; give the options they were made with" },
  { name: "cleanup-only", environment: null, kind: "switch", fallback: "false", help: "another name of --cleanup" },
  { name: "force-apply", environment: "FORCE_APPLY", kind: "switch", fallback: "false", help: "write the rules even when they are there already" },
  { name: "force-iptables-binary", environment: "FORCE_IPTABLES_BINARY", kind: "text", fallback: "", fallbackText: "whichever works", help: "legacy or nft" },
] as const satisfies readonly CaptureFlag[];

/** Long name of a flag. */
export type CaptureFlagName = (typeof captureFlags)[number]["name"];

/** A value for every flag: what was given, or the default. */
export type CaptureFlagValues = Readonly<Record<CaptureFlagName, string>>;
