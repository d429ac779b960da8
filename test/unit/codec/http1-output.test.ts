import { expect, test } from "vitest";
import { type ByteSink, OutputBuffer } from "../../../src/codec/http1-output.ts";

class RecordingSink implements ByteSink {
  readonly writes: Buffer[] = [];
  readonly writableHighWaterMark = 65_536;
  writableLength = 0;
  destroyed = false;
  corks = 0;

  write(data: string | Buffer): boolean {
    this.writes.push(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    return true;
  }

  cork(): void {
    this.corks++;
  }

  uncork(): void {
    this.corks--;
  }
}

const turn = () => new Promise<void>((resolve) => process.nextTick(resolve));

test("head and body of one turn leave in one write", async () => {
  const sink = new RecordingSink();
  const output = new OutputBuffer(sink);
  output.text("head\xe9 ");
  output.bytes(Buffer.from("body"));
  output.text(" end");
  expect(sink.writes).toEqual([]);
  await turn();
  expect(sink.writes.map((write) => write.toString("latin1"))).toEqual(["head\xe9 body end"]);
  output.text("next turn");
  await turn();
  expect(sink.writes).toHaveLength(2);
});

test("a large piece is passed on without a copy, behind what came before it", async () => {
  const sink = new RecordingSink();
  const output = new OutputBuffer(sink);
  const large = Buffer.alloc(20_000, "x");
  output.text("head");
  output.bytes(large);
  expect(sink.writes).toHaveLength(2);
  expect(sink.writes[1]).toBe(large);
  expect(sink.corks).toBe(0);
  await turn();
  expect(sink.writes).toHaveLength(2);
});

test("order is kept whatever the sizes", async () => {
  const sink = new RecordingSink();
  const output = new OutputBuffer(sink);
  let expected = "";
  for (const size of [10, 16_000, 500, 20_000, 3, 16_384, 1, 70_000, 5]) {
    const text = String.fromCharCode(97 + (size % 26)).repeat(size);
    expected += text;
    if (size % 2 === 0) output.bytes(Buffer.from(text, "latin1"));
    else output.text(text);
  }
  await turn();
  expect(Buffer.concat(sink.writes).toString("latin1")).toBe(expected);
});

test("nothing is written to a destroyed socket", async () => {
  const sink = new RecordingSink();
  const output = new OutputBuffer(sink);
  output.text("x");
  sink.destroyed = true;
  output.bytes(Buffer.alloc(20_000));
  await turn();
  expect(sink.writes).toEqual([]);
});

test("the watermark lies above the socket's own, so that drain is told", () => {
  const sink = new RecordingSink();
  const output = new OutputBuffer(sink);
  sink.writableLength = sink.writableHighWaterMark;
  expect(output.isOverWatermark).toBe(false);
  sink.writableLength = 256 * 1024;
  expect(output.isOverWatermark).toBe(true);
});
