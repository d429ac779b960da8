import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RequestHead, ResponseHead } from "../../src/message/head.ts";
import { HeaderList } from "../../src/message/header-list.ts";
import { ProxyError } from "../../src/message/proxy-error.ts";
import { type Codec, Heard, Link } from "./http-codec-link.ts";

const KIB = 1024;
const get = (path = "/", ...headers: [string, string][]) => new RequestHead("GET", "a.test", path, HeaderList.of(...headers), 0);
const post = (length = -1) => new RequestHead("POST", "a.test", "/", new HeaderList(), length);
const ok = (length = -1, ...headers: [string, string][]) => new ResponseHead(200, "OK", HeaderList.of(...headers), length);
const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** What every codec does alike, so that nothing above the seam need know which it is. */
export function httpCodecContract(codec: Codec): void {
  describe(`${codec.name} behind the codec seam`, () => {
    let link: Link;
    beforeEach(async () => {
      link = new Link(codec);
      await link.open();
    });
    afterEach(() => {
      link.close();
    });

    describe("messages", () => {
      test("a request and its answer, without bodies", async () => {
        const { heard, exchange } = await link.send(get("/a?b=c", ["x-a", "1"], ["x-a", "2"]), true);
        expect([exchange.head.method, exchange.head.authority, exchange.head.path, exchange.end]).toEqual(["GET", "a.test", "/a?b=c", true]);
        expect(exchange.head.headers.all("x-a")).toEqual(["1", "2"]);
        exchange.stream.respond(ok(0, ["x-b", "3"]), true);
        await link.until(() => heard.hasEnded);
        expect(heard.response?.status).toBe(200);
        expect(heard.response?.headers.get("x-b")).toBe("3");
        expect(exchange.heard.hasEnded).toBe(false);
      });

      test("bodies of announced length, both ways", async () => {
        const { stream, heard, exchange } = await link.send(post(5), false);
        expect(exchange.head.contentLength).toBe(5);
        stream.write(Buffer.from("he"));
        stream.write(Buffer.from("llo"));
        stream.end(null);
        await link.until(() => exchange.heard.hasEnded);
        expect(exchange.heard.body).toBe("hello");
        exchange.stream.respond(ok(3), false);
        exchange.stream.write(Buffer.from("bye"));
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded);
        expect(heard.response?.contentLength).toBe(3);
        expect(heard.body).toBe("bye");
      });

      test("bodies of unknown length with trailers, both ways", async () => {
        const { stream, heard, exchange } = await link.send(post(), false);
        stream.write(Buffer.from("hello"));
        stream.end(HeaderList.of(["x-t", "1"]));
        await link.until(() => exchange.heard.hasEnded);
        expect(exchange.heard.trailers?.toPairs()).toEqual([["x-t", "1"]]);
        exchange.stream.respond(ok(), false);
        exchange.stream.write(Buffer.from("bye"));
        exchange.stream.end(HeaderList.of(["x-u", "2"]));
        await link.until(() => heard.hasEnded);
        expect(heard.trailers?.toPairs()).toEqual([["x-u", "2"]]);
        expect([exchange.heard.body, heard.body]).toEqual(["hello", "bye"]);
      });

      test("an answer streamed while the request still comes", async () => {
        const { stream, heard, exchange } = await link.send(post(), false);
        exchange.stream.respond(ok(), false);
        for (let round = 1; round <= 5; round++) {
          stream.write(Buffer.from("a"));
          await link.until(() => exchange.heard.bytes === round);
          exchange.stream.write(Buffer.from("b"));
          await link.until(() => heard.bytes === round);
        }
        stream.end(null);
        await link.until(() => exchange.heard.hasEnded);
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded);
      });

      test("informational responses come before the final one", async () => {
        const { heard, exchange } = await link.send(get(), true);
        exchange.stream.informational(new ResponseHead(103, "Early Hints", HeaderList.of(["link", "<a>"]), -1));
        await link.until(() => heard.informationals.length === 1);
        exchange.stream.respond(ok(0), true);
        await link.until(() => heard.hasEnded);
        expect(heard.informationals).toEqual([103]);
      });

      test("HEAD, 204 and 304 have no body whatever is written", async () => {
        for (const [method, status, length] of [["HEAD", 200, 5], ["GET", 204, -1], ["GET", 304, 5]] as const) {
          const { heard, exchange } = await link.send(new RequestHead(method, "a.test", "/", new HeaderList(), 0), true);
          exchange.stream.respond(new ResponseHead(status, "OK", new HeaderList(), length), false);
          exchange.stream.write(Buffer.from("never"));
          exchange.stream.end(null);
          await link.until(() => heard.hasEnded);
          expect([heard.response?.status, heard.response?.contentLength, heard.bytes]).toEqual([status, length, 0]);
        }
      });

      test("an answer within the call that brings the request", async () => {
        link.onRequest = ({ stream }) => {
          stream.respond(ok(2), false);
          stream.write(Buffer.from("hi"));
          stream.end(null);
        };
        for (let round = 0; round < 3; round++) {
          const { heard } = await link.send(get(), true);
          await link.until(() => heard.hasEnded);
          expect(heard.body).toBe("hi");
        }
      });

      test("the connection carries one exchange after another", async () => {
        expect(link.client.isReused).toBe(false);
        for (let round = 0; round < 10; round++) {
          const { stream, heard, exchange } = await link.send(post(), false);
          stream.end(null);
          await link.until(() => exchange.heard.hasEnded);
          exchange.stream.respond(ok(0), true);
          await link.until(() => heard.hasEnded);
        }
        expect(link.client.isReused).toBe(true);
        expect(link.isClosed).toBe(false);
      });

      test("calls after the end do nothing", async () => {
        const { stream, heard, exchange } = await link.send(get(), true);
        exchange.stream.respond(ok(0), true);
        await link.until(() => heard.hasEnded);
        exchange.stream.respond(ok(0), true);
        exchange.stream.write(Buffer.from("x"));
        exchange.stream.end(null);
        exchange.stream.reset(new ProxyError("internal"));
        exchange.stream.pause();
        exchange.stream.resume();
        stream.write(Buffer.from("x"));
        stream.end(null);
        stream.pause();
        stream.resume();
        stream.reset();
        const next = await link.send(get(), true);
        next.exchange.stream.respond(ok(0), true);
        await link.until(() => next.heard.hasEnded);
      });
    });

    describe("what cannot be finished", () => {
      test("F02 a response reset in its body is never taken for whole", async () => {
        const { heard, exchange } = await link.send(get(), true);
        exchange.stream.respond(ok(), false);
        exchange.stream.write(Buffer.from("half"));
        await link.until(() => heard.bytes === 4);
        exchange.stream.reset(new ProxyError("upstream_disconnect"));
        await link.until(() => heard.error !== null);
        expect(heard.hasEnded).toBe(false);
        expect(heard.error?.attributes.source).toBe("upstream");
        // Who cuts knows.
        expect(exchange.heard.error).toBeNull();
      });

      test("F01 a response that is not as long as it said is never taken for whole", async () => {
        for (const [length, body] of [[5, "four"], [3, "four"]] as const) {
          const own = new Link(codec);
          await own.open();
          const { heard, exchange } = await own.send(get(), true);
          exchange.stream.respond(ok(length), false);
          exchange.stream.write(Buffer.from(body));
          exchange.stream.end(null);
          await own.until(() => heard.error !== null);
          expect(heard.hasEnded).toBe(false);
          own.close();
        }
      });

      test("a head that cannot be written cuts the stream", async () => {
        const { heard, exchange } = await link.send(get(), true);
        exchange.stream.respond(ok(0, ["x-a", "a\r\nb: c"]), true);
        await link.until(() => heard.error !== null);
        expect(heard.response).toBeNull();
      });

      test("a request that cannot be written fails and sends nothing", async () => {
        const heard = new Heard(link.waiting);
        link.client.request(get("/", ["x-a", "a\r\nb: c"]), true, heard);
        expect(heard.error).toBeNull();
        await link.until(() => heard.error !== null);
        expect(heard.error?.code).toBe("internal");
        expect(link.exchanges).toHaveLength(0);
      });

      test("a request body that is not as long as it said fails both ends", async () => {
        const { stream, heard, exchange } = await link.send(post(3), false);
        stream.write(Buffer.from("four"));
        await link.until(() => heard.error !== null && exchange.heard.error !== null);
        expect(heard.error?.code).toBe("internal");
        expect(exchange.heard.bytes).toBeLessThan(4);
      });

      test("a request given up is told to the server, and nothing to who gave it up", async () => {
        const { stream, heard, exchange } = await link.send(post(), false);
        stream.write(Buffer.from("half"));
        await link.until(() => exchange.heard.bytes === 4);
        stream.reset();
        await link.until(() => exchange.heard.error !== null);
        expect(exchange.heard.error?.code).toBe("downstream_disconnect");
        expect(heard.error).toBeNull();
      });

      test("the server's end of the connection fails what is under way at the client", async () => {
        const { heard } = await link.send(get(), true);
        link.server.destroy();
        await link.until(() => heard.error !== null);
        expect(heard.error?.code).toBe("upstream_disconnect");
        await link.until(() => link.told.includes("closed"));
        expect(link.told.filter((what) => what === "closed")).toHaveLength(1);
      });

      test("the client's end of the connection is told to the server once", async () => {
        const { exchange } = await link.send(post(), false);
        link.client.destroy();
        await link.until(() => exchange.heard.error !== null && link.isClosed);
        expect(exchange.heard.error?.code).toBe("downstream_disconnect");
      });

      test("a request on a closed connection fails, and not within the call", async () => {
        link.client.destroy();
        const heard = new Heard(link.waiting);
        link.client.request(get(), true, heard);
        expect(heard.error).toBeNull();
        await link.until(() => heard.error !== null);
        expect(heard.error?.attributes.source).toBe("upstream");
      });

      test("an answer complete before its request ends the exchange at the server", async () => {
        const { heard, exchange } = await link.send(post(), false);
        exchange.stream.respond(ok(2), false);
        exchange.stream.write(Buffer.from("no"));
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded);
        expect(heard.body).toBe("no");
        await turns(5);
        expect(exchange.heard.hasEnded).toBe(false);
        expect(exchange.heard.error).toBeNull();
      });
    });

    describe("back-pressure", () => {
      test("a reader that pauses stops its writer, and a writer is told when to go on", async () => {
        const { stream, heard, exchange } = await link.send(get(), true);
        stream.pause();
        exchange.stream.respond(ok(), false);
        const chunk = Buffer.alloc(64 * KIB);
        let sent = 0;
        const limit = 64 * 1024 * KIB;
        while (sent < limit) {
          const goesOn = exchange.stream.write(chunk);
          sent += chunk.length;
          if (!goesOn) {
            const { drains } = exchange.heard;
            await turns(20);
            if (exchange.heard.drains === drains) break;
          }
        }
        expect(sent).toBeLessThan(limit);
        const before = exchange.heard.drains;
        stream.resume();
        await link.until(() => exchange.heard.drains > before);
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded);
        expect(heard.bytes).toBe(sent);
      });

      test("a server that pauses holds the request up, end included", async () => {
        const { stream, exchange } = await link.send(post(), false);
        exchange.stream.pause();
        stream.write(Buffer.from("x".repeat(1000)));
        stream.end(HeaderList.of(["x-t", "1"]));
        await turns(20);
        expect(exchange.heard.bytes).toBe(0);
        expect(exchange.heard.hasEnded).toBe(false);
        exchange.stream.resume();
        await link.until(() => exchange.heard.hasEnded);
        expect(exchange.heard.bytes).toBe(1000);
        expect(exchange.heard.trailers?.toPairs()).toEqual([["x-t", "1"]]);
      });

      test("what is written in spite of back-pressure is still sent", async () => {
        const { stream, exchange } = await link.send(post(), false);
        exchange.stream.pause();
        for (let index = 0; index < 64; index++) stream.write(Buffer.alloc(32 * KIB));
        stream.end(null);
        await turns(5);
        exchange.stream.resume();
        await link.until(() => exchange.heard.hasEnded);
        expect(exchange.heard.bytes).toBe(64 * 32 * KIB);
      });
    });

    describe("closing in order", () => {
      test("a retired connection finishes what is under way and closes", async () => {
        const { heard, exchange } = await link.send(get(), true);
        link.client.retire();
        exchange.stream.respond(ok(2), false);
        exchange.stream.write(Buffer.from("ok"));
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded && link.isClosed);
        expect(heard.body).toBe("ok");
        expect(link.told.at(-1)).toBe("closed");
      });

      test("an idle connection that is retired closes at once", async () => {
        link.client.retire();
        await link.until(() => link.isClosed);
      });

      test("a server that drains answers what is under way and closes", async () => {
        const { heard, exchange } = await link.send(get(), true);
        link.server.drain();
        await turns(5);
        exchange.stream.respond(ok(2), false);
        exchange.stream.write(Buffer.from("ok"));
        exchange.stream.end(null);
        await link.until(() => heard.hasEnded && link.isClosed);
        expect(heard.body).toBe("ok");
        expect(link.told.filter((what) => what === "closed")).toHaveLength(1);
      });

      test("an idle server that drains closes", async () => {
        const { heard, exchange } = await link.send(get(), true);
        exchange.stream.respond(ok(0), true);
        await link.until(() => heard.hasEnded);
        link.server.drain();
        await link.until(() => link.isClosed && link.told.includes("closed"));
      });

      test("no timer outlives its connection", async () => {
        const { heard, exchange } = await link.send(get(), true);
        exchange.stream.respond(ok(0), true);
        await link.until(() => heard.hasEnded);
        link.client.destroy();
        await link.until(() => link.isClosed);
        expect(link.timers.count).toBe(0);
      });
    });

    if (!codec.isMultiplexed) return;

    describe("many streams at once", () => {
      test("each has its own answer, in whatever order", async () => {
        const sent: Awaited<ReturnType<Link["send"]>>[] = [];
        for (let index = 0; index < 20; index++) sent.push(await link.send(get(`/${index}`), true));
        for (const { exchange } of sent.toReversed()) {
          exchange.stream.respond(ok(), false);
          exchange.stream.write(Buffer.from(exchange.head.path));
          exchange.stream.end(null);
        }
        await link.until(() => sent.every(({ heard }) => heard.hasEnded));
        expect(sent.map(({ heard }) => heard.body)).toEqual(sent.map((_, index) => `/${index}`));
      });

      test("a stream that is cut, and one whose reader is slow, cost the others nothing", async () => {
        const [cut, slow, other] = [await link.send(get(), true), await link.send(get(), true), await link.send(get(), true)];
        slow.stream.pause();
        for (const { exchange } of [cut, slow, other]) exchange.stream.respond(ok(), false);
        while (slow.exchange.stream.write(Buffer.alloc(16 * KIB)));
        cut.exchange.stream.reset(new ProxyError("upstream_disconnect"));
        for (let index = 0; index < 100; index++) {
          if (!other.exchange.stream.write(Buffer.alloc(16 * KIB))) {
            const { drains } = other.exchange.heard;
            await link.until(() => other.exchange.heard.drains > drains);
          }
        }
        other.exchange.stream.end(null);
        await link.until(() => other.heard.hasEnded && cut.heard.error !== null);
        expect(other.heard.bytes).toBe(100 * 16 * KIB);
        expect(slow.heard.bytes).toBe(0);
        slow.stream.resume();
        slow.exchange.stream.end(null);
        await link.until(() => slow.heard.hasEnded);
      });
    });
  });
}
