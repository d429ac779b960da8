import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BySubnet } from "../../../src/connection/by-subnet.ts";
import { Cidr, type IpAddress, parseIpAddress } from "../../../src/core/cidr.ts";

const parsed = (address: string): IpAddress => parseIpAddress(address) as IpAddress;
const all = (blocks: readonly string[], address: string): number[] => {
  const found: number[] = [];
  new BySubnet(blocks.map((block, value) => ({ block, value }))).find(parsed(address), (value) => {
    found.push(value);
    return null;
  });
  return found;
};

describe("what is chosen by subnet (spec/03 3.12)", () => {
  it("is the narrowest block's, then wider ones', of equal ones the first listed", () => {
    const blocks = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.9.9/16", "::/0", "no block", "::ffff:10.1.0.0/112"];
    expect(all(blocks, "10.1.2.3")).toEqual([3, 2, 4, 7, 1, 0]);
    expect([all(blocks, "192.0.2.1"), all(blocks, "2001:db8::1"), all(blocks, "::ffff:10.2.0.1")]).toEqual([[0], [5], [1, 0]]);
  });

  it("ends with the first that something is made of", () => {
    const subnets = new BySubnet(["10.0.0.0/8", "10.1.0.0/16"].map((block, value) => ({ block, value })));
    expect([subnets.find(parsed("10.1.0.1"), (value) => value), subnets.find(parsed("10.1.0.1"), (value) => (value === 0 ? "wide" : null)), subnets.find(parsed("11.0.0.1"), (value) => value)]).toEqual([1, "wide", null]);
  });

  it("is what asking every block for itself comes to", () => {
    const byte = fc.integer({ min: 0, max: 3 });
    const v4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join("."));
    const v6 = fc.tuple(byte, byte).map(([a, b]) => `2001:db8:${a}::${b}`);
    const block = fc.oneof(fc.tuple(v4, fc.integer({ min: 0, max: 32 })), fc.tuple(v6, fc.integer({ min: 0, max: 128 }))).map(([address, bits]) => `${address}/${bits}`);
    fc.assert(fc.property(fc.array(block, { maxLength: 12 }), fc.oneof(v4, v6), (blocks, address) => {
      const holding = blocks.map((text, value) => ({ value, cidr: Cidr.parse(text) as Cidr })).filter(({ cidr }) => cidr.contains(parsed(address)));
      expect(all(blocks, address)).toEqual(holding.toSorted((a, b) => b.cidr.prefixBits - a.cidr.prefixBits).map(({ value }) => value));
    }));
  });

  it("is found among many at a cost that does not depend on their number", () => {
    const many = new BySubnet(Array.from({ length: 20_000 }, (_, value) => ({ block: `10.${value >> 8}.${value & 255}.0/24`, value })));
    let sum = 0;
    for (let round = 0; round < 20_000; round++) sum += many.find(parsed("10.77.199.1"), (value) => value) ?? 0;
    expect(sum).toBe(20_000 * ((77 << 8) + 199));
  });
});
