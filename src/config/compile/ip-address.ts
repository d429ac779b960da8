import { isIP } from "node:net";

/** The one way to write an IP address: IPv6 compressed and lower-case, no brackets. What is no address stays. */
export function canonicalAddress(address: string): string {
  const bare = address.startsWith("[") && address.endsWith("]") ? address.slice(1, -1) : address;
  if (isIP(bare) !== 6 || bare.includes("%")) return bare;
  return new URL(`http://[${bare}]/`).hostname.slice(1, -1);
}

/** The single address that a ServiceEntry address stands for, or null for a block of several. */
export function singleAddress(addressOrBlock: string): string | null {
  const slash = addressOrBlock.indexOf("/");
  if (slash < 0) return canonicalAddress(addressOrBlock);
  const address = addressOrBlock.slice(0, slash);
  const bits = isIP(address) === 4 ? 32 : 128;
  return Number(addressOrBlock.slice(slash + 1)) === bits ? canonicalAddress(address) : null;
}

/** A CIDR block for an address or a block. */
export function toBlock(addressOrBlock: string): string {
  if (addressOrBlock.includes("/")) return addressOrBlock;
  return `${canonicalAddress(addressOrBlock)}/${isIP(addressOrBlock) === 6 ? 128 : 32}`;
}

/** Whether it is the address of this machine's loopback interface. */
export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
