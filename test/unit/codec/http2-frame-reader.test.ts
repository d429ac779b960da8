import { describe, expect, test } from "vitest";
import { PREFACE } from "../../../src/codec/http2-frame.ts";
import { DEFAULT_HTTP2_LIMITS } from "../../../src/codec/http2-limits.ts";
import { FrameRecorder } from "./http2-recording.ts";

const SETTINGS = "000000 04 00 00000000";

/** A frame in hexadecimal. */
function frame(type: number, flags: number, streamId: number, payload = "", length = payload.replaceAll(" ", "").length / 2): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  return hex(length, 6) + hex(type, 2) + hex(flags, 2) + hex(streamId, 8) + payload;
}

/** What a reader behind the first SETTINGS makes of frames. */
function read(...frames: string[]): string[] {
  return new FrameRecorder().readHex(SETTINGS, ...frames).slice(1);
}

describe("frames in order", () => {
  test("each type", () => {
    expect(
      read(
        frame(0, 0, 1, "616263"), frame(0, 1, 1), frame(0, 9, 1, "02 6162 0000"),
        frame(1, 5, 1, "82"), frame(1, 4, 3, "828684"), frame(1, 0x2d, 5, "01 00000003 10 82 00"),
        frame(2, 0, 1, "00000003 10"), frame(3, 0, 1, "00000008"), frame(4, 1, 0), frame(6, 0, 0, "3132333435363738"), frame(6, 1, 0, "3132333435363738"),
        frame(7, 0, 0, "80000007 00000002 627965"), frame(8, 0, 0, "00000005"), frame(8, 0, 3, "ffffffff"), frame(0x0c, 0xff, 9, "00"),
      ),
    ).toEqual([
      "data 1 3/3", "data 1 0/0 end", "data 1 2/5 end",
      "headers 1 82 end", "headers 3 828684", "headers 5 82 end",
      "ignored 2 1", "reset 1 8", "settings ack", "ping 12345678", "ping 12345678 ack",
      "goaway 7 2 bye", "window 0 5", "window 3 2147483647", "ignored 12 9",
    ]);
  });

  test("a header block over several frames, empty ones among them", () => {
    expect(read(frame(1, 1, 1, "82"), frame(9, 0, 1), frame(9, 0, 1, "86"), frame(9, 4, 1, "84"), frame(9, 4, 1))).toEqual([
      "headers 1 828684 end", "fault connection 0 1 CONTINUATION of no block",
    ]);
  });

  test("settings, the last of each counting, unknown ones passed over", () => {
    const recorder = new FrameRecorder("server");
    recorder.reader.read(PREFACE);
    expect(recorder.readHex(frame(4, 0, 0, "0001 00000100 0003 00000005 0004 00001000 0004 00002000 0005 00008000 0006 00000400 0008 00000001 00ff 12345678"))).toEqual([
      `settings {"headerTableSize":256,"maxConcurrentStreams":5,"initialWindowSize":8192,"maxFrameSize":32768,"maxHeaderListSize":1024,"enableConnectProtocol":true} ${8192 - 65535}`,
    ]);
    expect(recorder.readHex(frame(4, 0, 0, "0004 00003000")).at(-1)).toMatch(/4096$/);
  });

  test("the reserved bit of a stream identifier means nothing", () => {
    expect(read(frame(0, 0, 0x80000001 >>> 0, "61"))).toEqual(["data 1 1/1"]);
  });

  test("DATA over several buffers comes in pieces, views of the buffers, and ends with the last", () => {
    const recorder = new FrameRecorder();
    const buffers = [Buffer.from(SETTINGS.replaceAll(" ", "") + frame(0, 1, 1, "6162", 5), "hex"), Buffer.from("63"), Buffer.from("de")];
    const seen: ArrayBufferLike[] = [];
    const onData = recorder.onData.bind(recorder);
    recorder.onData = (streamId, chunk, flowBytes, ends) => {
      seen.push(chunk.buffer);
      onData(streamId, chunk, flowBytes, ends);
    };
    recorder.reader.read(buffers[0] as Buffer);
    expect(recorder.reader.heldBytes).toBe(0);
    recorder.reader.read(buffers[1] as Buffer);
    recorder.reader.read(buffers[2] as Buffer);
    expect(recorder.events.slice(1)).toEqual(["data 1 2/2", "data 1 2/2", "data 1 1/1 end"]);
    expect(seen).toEqual([buffers[0]?.buffer, buffers[1]?.buffer, buffers[2]?.buffer]);
  });
});

describe("however the bytes are cut", () => {
  const stream = [
    SETTINGS, frame(1, 4, 1, "828684"), frame(0, 8, 1, "03 616263 000000"), frame(0, 0, 1, "64".repeat(40)), frame(0, 0, 1), frame(1, 0, 3, "82"), frame(9, 0, 3, "86"), frame(9, 4, 3, "84"),
    frame(6, 0, 0, "3132333435363738"), frame(8, 0, 0, "00000005"), frame(2, 0, 1, "0000000310"), frame(0, 1, 1, "65"), frame(7, 0, 0, "0000000100000000"),
  ].join("").replaceAll(" ", "");
  const whole = Buffer.concat([PREFACE, Buffer.from(stream, "hex")]);

  function readIn(size: number): { events: string[]; data: [number, string][]; flowBytes: number } {
    const recorder = new FrameRecorder("server");
    for (let at = 0; at < whole.length; at += size) recorder.reader.read(Buffer.from(whole.subarray(at, at + size)));
    expect(recorder.reader.heldBytes).toBe(0);
    return { events: recorder.events.filter((event) => !event.startsWith("data")), data: [...recorder.data], flowBytes: recorder.flowBytes };
  }

  test("the same is read", () => {
    const expected = readIn(whole.length);
    expect(expected.events).toHaveLength(7);
    expect(expected.data).toEqual([[1, `abc${"d".repeat(40)}e`]]);
    for (let size = 1; size < 60; size++) expect(readIn(size)).toEqual(expected);
  });
});

describe("what is refused", () => {
  const tooLong = frame(0, 0, 1, "", DEFAULT_HTTP2_LIMITS.maxFrameBytes + 1);
  const cases: [string, string[], string][] = [
    ["a frame longer than our setting (C19)", [tooLong], "connection 0 6"],
    ["DATA on stream 0", [frame(0, 0, 0, "61")], "connection 0 1"],
    ["padding as long as its DATA frame", [frame(0, 8, 1, "0161".slice(0, 2))], "connection 0 1"],
    ["a padded DATA frame without a length of padding", [frame(0, 8, 1)], "connection 0 6"],
    ["HEADERS on stream 0", [frame(1, 4, 0, "82")], "connection 0 1"],
    ["padding longer than its HEADERS frame", [frame(1, 0xc, 1, "0582")], "connection 0 1"],
    ["padding that leaves no room for the priority", [frame(1, 0x2c, 1, "020000000310")], "connection 0 1"],
    ["HEADERS too short for its priority", [frame(1, 0x24, 1, "000000")], "connection 0 6"],
    ["PRIORITY on stream 0", [frame(2, 0, 0, "0000000310")], "connection 0 1"],
    ["PRIORITY of the wrong length (C02)", [frame(2, 0, 1, "00000003")], "stream 1 6"],
    ["PRIORITY that depends on itself", [frame(2, 0, 1, "0000000110")], "stream 1 1"],
    ["RST_STREAM on stream 0", [frame(3, 0, 0, "00000000")], "connection 0 1"],
    ["RST_STREAM of the wrong length", [frame(3, 0, 1, "000000")], "connection 0 6"],
    ["SETTINGS on a stream", [frame(4, 0, 1)], "connection 0 1"],
    ["SETTINGS of the wrong length", [frame(4, 0, 0, "0001000000")], "connection 0 6"],
    ["an acknowledgement with settings", [frame(4, 1, 0, "000100000000")], "connection 0 6"],
    ["ENABLE_PUSH beyond 1", [frame(4, 0, 0, "000200000002")], "connection 0 1"],
    ["ENABLE_PUSH of a server", [frame(4, 0, 0, "000200000001")], "connection 0 1"],
    ["a window beyond 2^31-1", [frame(4, 0, 0, "000480000000")], "connection 0 3"],
    ["a frame size below 16384", [frame(4, 0, 0, "000500003fff")], "connection 0 1"],
    ["a frame size beyond 2^24-1", [frame(4, 0, 0, "000501000000")], "connection 0 1"],
    ["ENABLE_CONNECT_PROTOCOL taken back", [frame(4, 0, 0, "000800000001"), frame(4, 0, 0, "000800000000")], "connection 0 1"],
    ["hundreds of settings (CVE-2020-11080)", [frame(4, 0, 0, "00ff00000000".repeat(65))], "connection 0 11"],
    ["PUSH_PROMISE (C15)", [frame(5, 4, 1, "0000000282")], "connection 0 1"],
    ["PING on a stream", [frame(6, 0, 1, "3132333435363738")], "connection 0 1"],
    ["PING of the wrong length", [frame(6, 0, 0, "313233343536")], "connection 0 6"],
    ["GOAWAY on a stream", [frame(7, 0, 1, "0000000000000000")], "connection 0 1"],
    ["GOAWAY too short", [frame(7, 0, 0, "00000000")], "connection 0 6"],
    ["WINDOW_UPDATE of the wrong length", [frame(8, 0, 0, "000000")], "connection 0 6"],
    ["WINDOW_UPDATE of 0 for the connection", [frame(8, 0, 0, "00000000")], "connection 0 1"],
    ["WINDOW_UPDATE of 0 for a stream (C02)", [frame(8, 0, 1, "00000000")], "stream 1 1"],
    ["CONTINUATION of no block", [frame(9, 4, 1, "82")], "connection 0 1"],
    ["CONTINUATION of another stream", [frame(1, 0, 1, "82"), frame(9, 4, 3, "82")], "connection 0 1"],
    ["a frame within a block", [frame(1, 0, 1, "82"), frame(6, 0, 0, "3132333435363738")], "connection 0 1"],
    ["an unknown frame within a block", [frame(1, 0, 1, "82"), frame(0x20, 0, 1)], "connection 0 1"],
    ["nine CONTINUATIONs (C03, CVE-2024-27983)", [frame(1, 0, 1, "82"), ...Array.from({ length: 9 }, () => frame(9, 0, 1, "86"))], "connection 0 11"],
    ["nine empty CONTINUATIONs", [frame(1, 0, 1, "82"), ...Array.from({ length: 9 }, () => frame(9, 0, 1))], "connection 0 11"],
    ["a block beyond 64 KiB", [frame(1, 0, 1, "86".repeat(16384)), ...Array.from({ length: 4 }, () => frame(9, 0, 1, "86".repeat(16384)))], "connection 0 11"],
  ];
  for (const [name, frames, fault] of cases) {
    test(name, () => {
      const events = read(...frames);
      expect(events.at(-1)).toMatch(new RegExp(`^fault ${fault} `));
      expect(events.filter((event) => event.startsWith("fault"))).toHaveLength(1);
      // By the byte, so that nothing is kept of a frame that its header gives away.
      const recorder = new FrameRecorder();
      for (const byte of Buffer.from([SETTINGS, ...frames].join("").replaceAll(" ", ""), "hex")) recorder.reader.read(Buffer.of(byte));
      expect(recorder.events.at(-1)).toBe(events.at(-1));
    });
  }

  test("after a fault of the connection nothing more is read, after one of a stream all is", () => {
    expect(read(frame(6, 0, 1, "3132333435363738") + frame(8, 0, 0, "00000001"))).toHaveLength(1);
    expect(read(frame(2, 0, 1, "00") + frame(8, 0, 0, "00000001"))).toEqual(["fault stream 1 6 PRIORITY of the wrong length", "window 0 1"]);
  });

  test("a stream that depends on itself is told with its block, which must be decoded", () => {
    expect(read(frame(1, 0x25, 1, "00000001 10 82"))).toEqual(["headers 1 82 end self"]);
    expect(read(frame(1, 0x21, 1, "00000001 10 82"), frame(9, 4, 1, "86"))).toEqual(["headers 1 8286 end self"]);
  });

  test("a frame too long is refused by its header, before its payload is kept", () => {
    const recorder = new FrameRecorder();
    recorder.readHex(SETTINGS, frame(1, 4, 1, "", 0xffffff));
    expect(recorder.events.at(-1)).toBe("fault connection 0 6 frame too long");
    expect(recorder.reader.heldBytes).toBe(0);
  });
});

describe("the beginning", () => {
  test("a server wants the preface, byte by byte as it may come", () => {
    const recorder = new FrameRecorder("server");
    for (const byte of PREFACE) recorder.reader.read(Buffer.of(byte));
    expect(recorder.readHex(SETTINGS)).toHaveLength(1);
    const other = new FrameRecorder("server");
    other.reader.read(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"));
    expect(other.events).toEqual(["fault connection 0 1 invalid preface"]);
  });

  test("both want SETTINGS first", () => {
    for (const first of [frame(6, 0, 0, "3132333435363738"), frame(4, 1, 0), frame(1, 5, 1, "82")]) {
      expect(new FrameRecorder().readHex(first)).toEqual(["fault connection 0 1 first frame is not SETTINGS"]);
    }
  });

  test("a reader that was stopped from within says nothing more", () => {
    const recorder = new FrameRecorder();
    recorder.onPing = () => recorder.reader.stop();
    recorder.readHex(SETTINGS, frame(6, 0, 0, "3132333435363738"), frame(8, 0, 0, "00000001"));
    recorder.readHex(frame(8, 0, 0, "00000001"));
    expect(recorder.events).toHaveLength(1);
  });
});
