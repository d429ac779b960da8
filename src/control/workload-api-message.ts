import { ProtobufError } from "../codec/protobuf-error.ts";
import { ProtobufReader } from "../codec/protobuf-reader.ts";

/** One `X509SVID`; the bytes are views of the message. */
export interface SvidMessage {
  readonly spiffeId: string;
  /** Certificates in DER, one after the other, the leaf first. */
  readonly certificates: Buffer;
  /** PKCS#8 in DER. */
  readonly privateKey: Buffer;
  /** Roots of its trust domain in DER, one after the other. */
  readonly bundle: Buffer;
  /** What its operator says it is for; empty for nothing. */
  readonly hint: string;
}

/** An `X509SVIDResponse`: all there is at this moment, not what changed (SPIFFE Workload API, section 4.3). */
export interface WorkloadApiMessage {
  readonly svids: readonly SvidMessage[];
  /** How many revocation lists there are. */
  readonly revocationLists: number;
  /** Roots in DER by the SPIFFE ID of their foreign trust domain. */
  readonly federated: ReadonlyMap<string, Buffer>;
}

/** Longest message that is read; a bundle of a few roots has some KiB. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const LIMITS = { maxDepth: 2, maxFields: 8192 };
const MAX_SVIDS = 64;
const MAX_FEDERATED = 256;
/** In bytes: of a SPIFFE ID by its standard, and of a hint more than anybody writes on a command line. */
const MAX_NAME_BYTES = 2048;
const NOTHING = Buffer.alloc(0);

/** Reads what `FetchX509SVID` sends (SPIFFE Workload API, section 5.1). @throws {ProtobufError} for anything else. */
export function readWorkloadApiMessage(bytes: Buffer): WorkloadApiMessage {
  const reader = new ProtobufReader(bytes, LIMITS);
  const svids: SvidMessage[] = [];
  const federated = new Map<string, Buffer>();
  let revocationLists = 0;
  while (reader.next()) {
    if (reader.field === 1) svids.push(readSvid(reader.message()));
    else if (reader.field === 2 && reader.bytes().length > 0) revocationLists++;
    else if (reader.field === 3) readFederated(reader.message(), federated);
  }
  if (svids.length > MAX_SVIDS) throw new ProtobufError(`more than ${MAX_SVIDS} SVIDs`);
  if (federated.size > MAX_FEDERATED) throw new ProtobufError(`more than ${MAX_FEDERATED} federated bundles`);
  return { svids, revocationLists, federated };
}

function readSvid(reader: ProtobufReader): SvidMessage {
  let [spiffeId, hint] = ["", ""];
  let [certificates, privateKey, bundle]: [Buffer, Buffer, Buffer] = [NOTHING, NOTHING, NOTHING];
  while (reader.next()) {
    if (reader.field === 1) spiffeId = readName(reader, "a SPIFFE ID");
    else if (reader.field === 2) certificates = reader.bytes();
    else if (reader.field === 3) privateKey = reader.bytes();
    else if (reader.field === 4) bundle = reader.bytes();
    else if (reader.field === 5) hint = readName(reader, "a hint");
  }
  return { spiffeId, certificates, privateKey, bundle, hint };
}

/** What is shown to people: in logs, on pages, in what a probe says. */
function readName(reader: ProtobufReader, what: string): string {
  const name = reader.string();
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new ProtobufError(`an SVID with ${what} of more than ${MAX_NAME_BYTES} bytes`);
  return name;
}

/** An entry of `map<string, bytes>`: of several with one key the last counts. */
function readFederated(entry: ProtobufReader, into: Map<string, Buffer>): void {
  let key = "";
  let bundle: Buffer = NOTHING;
  while (entry.next()) {
    if (entry.field === 1) key = entry.string();
    else if (entry.field === 2) bundle = entry.bytes();
  }
  into.set(key, bundle);
}
