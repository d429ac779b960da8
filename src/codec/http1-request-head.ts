import { RequestHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { isAuthority } from "./http1-authority.ts";
import { Http1Fields } from "./http1-fields.ts";
import { bodyLength } from "./http1-framing.ts";
import type { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { lineEnds } from "./http1-head-end.ts";
import { ConnectionOption, removeNominated } from "./http1-hop-by-hop.ts";
import { parseRequestLine, type RequestLine } from "./http1-request-line.ts";
import { syntaxError } from "./http1-syntax.ts";

/** What a parser must know of the connection its requests come on. */
export interface RequestOrigin {
  readonly isTls: boolean;
  /** Stands for the authority of an HTTP/1.0 request without Host: the address the client connected to. */
  readonly defaultAuthority: string;
}

/** Turns heads into `RequestHead`s: everything hop-by-hop is gone from what it returns. */
export class Http1RequestHeadParser {
  /** Whether the peer of the head last parsed wants the connection kept. */
  keepsAlive = true;
  readonly #maxTargetBytes: number;
  readonly #origin: RequestOrigin;
  readonly #fields = new Http1Fields();
  readonly #line: RequestLine = { method: "", scheme: null, authority: null, path: "", isHttp10: false };

  constructor(maxTargetBytes: number, origin: RequestOrigin) {
    this.#maxTargetBytes = maxTargetBytes;
    this.#origin = origin;
  }

  /**
   * Parses the head that `found` holds.
   *
   * @throws ProxyError of the downstream kind; the status it stands for is the required one of hostile.md section A.
   */
  parse(found: Http1HeadBuffer): RequestHead {
    const { bytes, start, end } = found;
    const text = bytes.toString("latin1", start, end);
    const line = this.#line;
    const fields = this.#fields;
    parseRequestLine(text, (lineEnds[0] as number) - start, this.#maxTargetBytes, line);
    fields.parse(bytes, text, start, 1, found.lines);
    const contentLength = bodyLength(fields.contentLength, fields.transferEncoding, line.isHttp10, 0);
    const options = fields.connection === null ? 0 : removeNominated(fields.headers, fields.connection, fields.teLength);
    const head = new RequestHead(line.method, this.#authority(), line.path, fields.headers, contentLength);
    head.scheme = line.scheme ?? (this.#origin.isTls ? "https" : "http");
    if (line.isHttp10) head.version = "HTTP/1.0";
    head.hostName = fields.hostName;
    head.wireBytes = end - start;
    this.#readExpect(head);
    this.#readUpgrade(head, options);
    this.keepsAlive = (options & ConnectionOption.close) === 0 && (!line.isHttp10 || (options & ConnectionOption.keepAlive) !== 0);
    return head;
  }

  /** The authority of RFC 9112 section 3.3; A33-A38. Host must be right even where the target overrules it. */
  #authority(): string {
    const { host } = this.#fields;
    const line = this.#line;
    if (line.scheme === "https" && !this.#origin.isTls) throw syntaxError("https target on a plaintext connection");
    if (host === null) {
      if (!line.isHttp10) throw syntaxError("Host missing");
      return line.authority ?? this.#origin.defaultAuthority;
    }
    if (!isAuthority(host)) throw syntaxError("invalid Host");
    return line.authority ?? host;
  }

  /** RFC 9110 section 10.1.1: an expectation other than 100-continue cannot be met; A52. */
  #readExpect(head: RequestHead): void {
    const { expect } = this.#fields;
    if (expect === null) return;
    if (expect.toLowerCase() !== "100-continue") throw new ProxyError("expectation_failed");
    head.expectsContinue = head.version === "HTTP/1.1" && head.contentLength !== 0;
  }

  /** Only a GET that asks for `websocket` and nothing else may become a tunnel; other offers are dropped (A47-A49). */
  #readUpgrade(head: RequestHead, options: number): void {
    const { upgrade } = this.#fields;
    if (upgrade === null || (options & ConnectionOption.upgrade) === 0 || head.version === "HTTP/1.0") return;
    if (upgrade.toLowerCase() !== "websocket" || head.method !== "GET") return;
    if (head.contentLength !== 0) throw syntaxError("upgrade with a body");
    head.upgrade = "websocket";
  }
}
