import { writeResponseHead } from "../codec/http1-writer.ts";
import { localReplyHead, toLocalReply } from "../message/local-reply.ts";
import type { ProxyError } from "../message/proxy-error.ts";

/** The whole answer to a message that cannot be served, as it goes on the wire; the connection is to be closed after it. */
export function errorReplyText(error: ProxyError): string {
  const reply = toLocalReply(error);
  const head = localReplyHead(reply);
  return writeResponseHead(head, head.contentLength, false, "close") + reply.body;
}
