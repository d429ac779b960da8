import type { RedirectSpec } from "../config/snapshot-route.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import { authorityOfAddress } from "../message/authority.ts";
import type { LocalReply } from "../message/local-reply.ts";
import { PathRewrite } from "./path-rewrite.ts";

const DEFAULT_PORTS = { http: "80", https: "443" } as const;

/** The answer that sends the client elsewhere (`spec/03` 3.3 "redirect"); its body is empty. */
export function redirectReply(spec: RedirectSpec, head: RequestHead, connection: ConnectionFacts): LocalReply {
  return { status: spec.status, headers: [["location", redirectLocation(spec, head, connection)]], body: "", flag: "-", details: "direct_response" };
}

/** The `Location`: always an absolute URI, without the port that its scheme has by default. */
function redirectLocation(spec: RedirectSpec, head: RequestHead, connection: ConnectionFacts): string {
  const requested = head.scheme === "https" ? "https" : "http";
  const scheme = spec.scheme ?? requested;
  const { host, port } = splitPort(spec.authority ?? (head.authority === "" ? authorityOfAddress(connection.local) : head.authority));
  // The port of the other scheme, written out, was meant as that scheme's.
  const isOtherDefault = spec.authority === null && scheme !== requested && port === DEFAULT_PORTS[requested];
  const wanted = portOf(spec, connection, isOtherDefault ? "" : port);
  return `${scheme}://${host}${wanted === "" || wanted === DEFAULT_PORTS[scheme] ? "" : `:${wanted}`}${targetOf(spec, head)}`;
}

function portOf({ port }: RedirectSpec, { local }: ConnectionFacts, own: string): string {
  if (port === null) return own;
  if (port === "FROM_PROTOCOL_DEFAULT") return "";
  return String(port === "FROM_REQUEST_PORT" ? local.port : port);
}

function targetOf({ path }: RedirectSpec, head: RequestHead): string {
  // `OPTIONS *` is about the server as a whole, which has no path.
  if (head.path === "*") return path?.kind === "whole" ? path.value : "";
  if (path === null) return head.path;
  // A path that brings a query of its own leaves the request's behind.
  if (path.kind === "whole" && path.value.includes("?")) return path.value;
  return new PathRewrite(path).apply(head.path);
}

function splitPort(authority: string): { readonly host: string; readonly port: string } {
  const found = /^(.*?)(?::(\d*))?$/.exec(authority);
  const isBareAddress = authority.includes(":") && authority.endsWith("]");
  return found === null || isBareAddress ? { host: authority, port: "" } : { host: found[1] as string, port: found[2] ?? "" };
}
