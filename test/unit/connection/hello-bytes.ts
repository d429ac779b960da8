/** A ClientHello message (without record header); `extensions` null leaves the whole block out. */
export function clientHello(extensions: readonly Buffer[] | null): Buffer {
  const block = extensions === null ? Buffer.alloc(0) : prefixed(2, Buffer.concat(extensions));
  const body = Buffer.concat([
    Buffer.from([3, 3]), Buffer.alloc(32, 7), prefixed(1, Buffer.alloc(32, 9)),
    prefixed(2, Buffer.from([0x13, 0x01, 0x0a, 0x0a, 0xc0, 0x2b])), prefixed(1, Buffer.from([0])), block,
  ]);
  return Buffer.concat([Buffer.from([1]), prefixed(3, body)]);
}

export function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), prefixed(2, content)]);
}

export function sniExtension(name: string): Buffer {
  return extension(0, prefixed(2, Buffer.concat([Buffer.from([0]), prefixed(2, Buffer.from(name, "latin1"))])));
}

export function alpnExtension(...names: string[]): Buffer {
  return extension(16, prefixed(2, Buffer.concat(names.map((name) => prefixed(1, Buffer.from(name, "latin1"))))));
}

/** A message cut into handshake records of at most `size` bytes. */
export function inRecords(message: Buffer, size = 16_384): Buffer {
  const records: Buffer[] = [];
  for (let start = 0; start < message.length; start += size) {
    records.push(Buffer.from([22, 3, 1]), prefixed(2, message.subarray(start, start + size)));
  }
  return Buffer.concat(records);
}

function prefixed(width: number, content: Buffer): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}
