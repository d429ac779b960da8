import { describeCounts } from "./caller.ts";
import { type Mesh, spiffeIdOf } from "./mesh.ts";
import type { Story } from "./story.ts";

const HOST = { host: "reviews" } as const;

/** Mutual TLS: the application learns who called; who does not prove an identity gets nothing. */
export async function identityChapter(story: Story, { callers, network }: Mesh): Promise<void> {
  story.chapter("Mutual TLS between the sidecars; the applications speak plain HTTP");
  await story.check("reviews learns who called it", async () => {
    const { last } = await callers.productpage.ask({ url: network.callUrl("productpage"), headers: HOST });
    if (last?.status !== 200) return { holds: false, seen: last?.error ?? `status ${last?.status}: ${last?.body?.trim()}` };
    const { caller } = JSON.parse(last.body ?? "") as { caller: string | null };
    const fields = new Map((caller ?? "").split(";").map((field) => [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)]));
    const holds = fields.get("URI") === spiffeIdOf("productpage") && fields.get("By") === spiffeIdOf("reviews");
    return { holds, seen: holds ? (fields.get("URI") ?? "") : `X-Forwarded-Client-Cert ${caller ?? "missing"}` };
  });
  await story.check("plain HTTP sent straight to reviews' pod is refused", async () => {
    const tally = await callers.outsider.ask({ url: `${network.directUrl}/`, headers: HOST });
    // Closed without a word. ECONNREFUSED would mean that nobody listens there at all, and silence is no refusal.
    const isClosed = tally.last?.error === "ECONNRESET";
    return { holds: isClosed, seen: isClosed ? "connection closed without an answer" : describeCounts(tally.outcomes) };
  });
}
