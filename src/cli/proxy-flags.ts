import type { Flag } from "./command-flags.ts";

const text = (name: string, environment: string, fallback: string, value: string, help: string): Flag => ({ name, kind: "text", environment, fallback, value, help });

/** The flags of `outrider proxy`, as the contract with users and scripts has them. */
export const PROXY_FLAGS: readonly Flag[] = [
  { name: "config", kind: "list", environment: "OUTRIDER_CONFIG", fallback: "/etc/outrider/config", value: "PATH", help: "configuration folder or file; may be given several times" },
  text("certs", "OUTRIDER_CERTS", "/etc/certs", "DIR", "folder with cert-chain.pem, key.pem, root-cert.pem and bundles/"),
  text("identity", "OUTRIDER_IDENTITY", "files", "SOURCE", "where the workload's certificate comes from: files (--certs), or spiffe (the SPIFFE Workload API)"),
  text("spiffe-socket", "SPIFFE_ENDPOINT_SOCKET", "", "URI", "the SPIFFE Workload API, unix:///path/to/socket, or tcp://IP:PORT on loopback; --identity spiffe needs it"),
  text("spiffe-hint", "OUTRIDER_SPIFFE_HINT", "", "HINT", "which SVID of the Workload API to use, by its hint; empty is the first"),
  text("state", "OUTRIDER_STATE", "", "DIR", "where the last good configuration is kept, for a restart that finds it broken; empty is nowhere"),
  text("concurrency", "OUTRIDER_CONCURRENCY", "1", "N", "data threads"),
  text("bind", "OUTRIDER_BIND", "::", "ADDR", "address of the capture listeners; :: is all interfaces, IPv4 too"),
  text("outbound-port", "OUTRIDER_OUTBOUND_PORT", "15001", "PORT", "capture listener of what the application opens; 0 is any free port"),
  text("inbound-port", "OUTRIDER_INBOUND_PORT", "15006", "PORT", "capture listener of what arrives for the application"),
  text("admin-port", "OUTRIDER_ADMIN_PORT", "15000", "PORT", "admin pages, on 127.0.0.1 only"),
  text("admin-token-file", "OUTRIDER_ADMIN_TOKEN_FILE", "", "FILE", "the token that admin pages which change something ask for; empty is none, and they refuse"),
  text("admin-reads", "OUTRIDER_ADMIN_READS", "open", "WHO", "who may read admin pages over TCP: open (every process of the pod), or token (who knows the token); with token, --admin-token-file or --admin-socket is needed"),
  text("admin-socket", "OUTRIDER_ADMIN_SOCKET", "", "PATH", "Unix socket with the admin pages, for the proxy's own user, without a token; empty is none"),
  { name: "allow-quit", kind: "switch", environment: "OUTRIDER_ALLOW_QUIT", fallback: "", value: "", help: "programs of the pod may end or drain the proxy: POST /quitquitquit and /drain on the status port, from loopback only" },
  text("status-port", "OUTRIDER_STATUS_PORT", "15020", "PORT", "health and merged metrics"),
  text("ready-port", "OUTRIDER_READY_PORT", "15021", "PORT", "/healthz/ready only"),
  text("metrics-port", "OUTRIDER_METRICS_PORT", "15090", "PORT", "/stats/prometheus only"),
  text("dns-port", "OUTRIDER_DNS_PORT", "", "PORT", "local DNS resolver for captured queries, on loopback; the capture rules send them to 15053; empty is off"),
  text("jwks-allow", "OUTRIDER_JWKS_ALLOW", "", "CIDR,...", "addresses that keys of token issuers and trust bundles may be fetched from though they are of this host, its link or its cloud's metadata; empty is none"),
  text("hbone-port", "OUTRIDER_HBONE_PORT", "", "PORT", "HBONE tunnels of ambient peers, who dial 15008; empty is off"),
  text("locality", "OUTRIDER_LOCALITY", "", "REGION/ZONE/SUBZONE", "where the workload runs; empty: as its Pod and Node in the configuration, or its labels, say"),
  { name: "close-expired", kind: "switch", environment: "OUTRIDER_CLOSE_EXPIRED", fallback: "false", value: "", help: "close connections when the certificate expires that their peer came with" },
  text("drain", "OUTRIDER_DRAIN", "5", "SECONDS", "longest time to finish what is under way after SIGTERM"),
  text("log-level", "OUTRIDER_LOG_LEVEL", "info", "LEVEL", "debug, info, warn or error"),
  text("log-format", "OUTRIDER_LOG_FORMAT", "json", "FORMAT", "json or text"),
];
