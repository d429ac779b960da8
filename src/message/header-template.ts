import type { ConnectionFacts, SocketAddress } from "./connection-facts.ts";
import type { RequestHead, ResponseHead } from "./head.ts";
import { RequestField } from "./request-field.ts";
import type { StreamInfo } from "./stream-info.ts";

/** What the variables of a header value may speak of. */
export interface TemplateContext {
  readonly head: RequestHead;
  readonly info: StreamInfo;
  readonly connection: ConnectionFacts;
  /** Null while there is none. */
  readonly response: ResponseHead | null;
  /** Milliseconds since the epoch. */
  readonly wallMs: number;
}

/** The value of a variable; empty when there is none. */
type Reader = (context: TemplateContext) => string;

const withPort = ({ address, port }: SocketAddress): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);

/** Envoy's command operators, as far as a sidecar knows what they ask for. */
const VARIABLES: Readonly<Record<string, Reader>> = {
  DOWNSTREAM_REMOTE_ADDRESS: ({ connection }) => withPort(connection.remote),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.remote.address,
  DOWNSTREAM_REMOTE_PORT: ({ connection }) => String(connection.remote.port),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ connection }) => withPort(connection.remote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.remote.address,
  DOWNSTREAM_LOCAL_ADDRESS: ({ connection }) => withPort(connection.local),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.local.address,
  DOWNSTREAM_LOCAL_PORT: ({ connection }) => String(connection.local.port),
  DOWNSTREAM_PEER_URI_SAN: ({ connection }) => connection.tls?.peer?.spiffeId ?? "",
  DOWNSTREAM_PEER_SUBJECT: ({ connection }) => connection.tls?.peer?.subject ?? "",
  DOWNSTREAM_PEER_FINGERPRINT_256: ({ connection }) => connection.tls?.peer?.hash ?? "",
  DOWNSTREAM_LOCAL_URI_SAN: ({ connection }) => connection.tls?.ownSpiffeId ?? "",
  REQUESTED_SERVER_NAME: ({ connection }) => connection.tls?.serverName ?? connection.passthroughServerName ?? "",
  PROTOCOL: ({ info }) => info.version,
  RESPONSE_CODE: ({ info, response }) => String(response?.status ?? info.status),
  RESPONSE_CODE_DETAILS: ({ info }) => info.details,
  RESPONSE_FLAGS: ({ info }) => info.flags,
  ROUTE_NAME: ({ info }) => info.routeName ?? "",
  UPSTREAM_HOST: ({ info }) => info.upstreamHost ?? "",
  UPSTREAM_CLUSTER: ({ info }) => info.clusterName ?? "",
  UPSTREAM_LOCAL_ADDRESS: ({ info }) => (info.upstreamLocalAddress === null ? "" : withPort(info.upstreamLocalAddress)),
  START_TIME: ({ wallMs }) => new Date(wallMs).toISOString(),
};
const KNOWN = [...Object.keys(VARIABLES), "REQ(name)", "RESP(name)"];
/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; `%%` is a percent sign. */
const OPERATOR = /%(?:([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d{1,5}))?)?%/y;
/** The names Envoy gives to what it measures itself. */
const FIELD = /^[A-Za-z0-9!#$&'*+.^_`|~:-]+$/;

/** A header value with Envoy's `%VARIABLES%` in it, parsed once (`spec/03` 3.3). */
export class HeaderTemplate {
  readonly #parts: readonly (string | Reader)[];

  private constructor(parts: readonly (string | Reader)[]) {
    this.#parts = parts;
  }

  /** @throws Error in one sentence, for a variable that there is not, or a `%` that is none. */
  static parse(text: string): HeaderTemplate {
    const parts: (string | Reader)[] = [];
    let at = 0;
    for (let percent = text.indexOf("%"); percent >= 0; percent = text.indexOf("%", at)) {
      if (percent > at) parts.push(text.slice(at, percent));
      OPERATOR.lastIndex = percent;
      const found = OPERATOR.exec(text);
      if (found === null) throw new Error(`has a "%" that begins no variable; a literal percent sign is written %%`);
      parts.push(found[1] === undefined ? "%" : reader(found[1], found[2], found[3]));
      at = OPERATOR.lastIndex;
    }
    if (at < text.length) parts.push(text.slice(at));
    return new HeaderTemplate(parts);
  }

  /** The value for one message; empty when all that it is made of is. */
  format(context: TemplateContext): string {
    const parts = this.#parts;
    if (parts.length === 1 && typeof parts[0] === "string") return parts[0];
    let text = "";
    for (const part of parts) text += typeof part === "string" ? part : part(context);
    return text;
  }
}

function reader(name: string, argument: string | undefined, length: string | undefined): Reader {
  if (name === "REQ" || name === "RESP") return shortened(fieldReader(name, argument ?? ""), length);
  const found = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
  if (found === undefined) throw new Error(`%${name}% is not a variable that is known here; there are ${KNOWN.join(", ")}`);
  if (argument !== undefined || length !== undefined) throw new Error(`%${name}% takes no argument here`);
  return found;
}

/** `%REQ(X?Y)%`: the field X, or Y where there is no X. */
function fieldReader(name: "REQ" | "RESP", argument: string): Reader {
  const names = argument.toLowerCase().split("?");
  if (names.length > 2 || !names.every((field) => FIELD.test(field))) throw new Error(`%${name}(${argument})% does not name a header; write %${name}(name)% or %${name}(name?other)%`);
  if (name === "RESP") return ({ response }) => names.map((field) => response?.headers.joined(field)).find((value) => value !== undefined) ?? "";
  const fields = names.map((field) => new RequestField(field));
  return ({ head }) => fields.map((field) => field.joined(head)).find((value) => value !== undefined) ?? "";
}

function shortened(read: Reader, length: string | undefined): Reader {
  return length === undefined ? read : (context) => read(context).slice(0, Number(length));
}
