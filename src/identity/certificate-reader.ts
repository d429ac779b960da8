import { DER, DerReader, MalformedDer } from "./der-reader.ts";
import { readDistinguishedName } from "./distinguished-name.ts";

/** Bits of the keyUsage extension (RFC 5280 section 4.2.1.3) as `keyUsage` below holds them. */
export const KEY_USAGE = { digitalSignature: 1 << 0, keyCertSign: 1 << 5, cRLSign: 1 << 6 } as const;

/** Tags of GeneralName (RFC 5280 section 4.2.1.6). */
export const GENERAL_NAME = { dns: 0x82, directory: 0xa4, uri: 0x86 } as const;

/** The kinds of GeneralName that occur: otherName, rfc822Name, dNSName, directoryName, URI, iPAddress, registeredID. */
const GENERAL_NAMES: ReadonlySet<number> = new Set([0xa0, 0x81, 0x82, 0xa4, 0x86, 0x87, 0x88]);

/** One constraint of a CA on the names below it: `tag` says of which kind, `value` is the host or suffix. */
export interface NameConstraint {
  readonly tag: number;
  readonly value: string;
}

/** What a certificate says, as far as X.509-SVID asks. */
export interface CertificateFacts {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** RFC 2253, empty when the subject is. */
  readonly subject: string;
  readonly signatureAlgorithm: string;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Kinds of subject alternative names present, by tag. */
  readonly nameTags: readonly number[];
  readonly isCa: boolean;
  /** pathLenConstraint, Infinity when there is none. */
  readonly maxPathLength: number;
  /** Bits of `KEY_USAGE`, or null without the extension. */
  readonly keyUsage: number | null;
  readonly isKeyUsageCritical: boolean;
  /** Object identifiers, or null without the extension. */
  readonly extendedKeyUsage: readonly string[] | null;
  readonly permitted: readonly NameConstraint[];
  readonly excluded: readonly NameConstraint[];
  /** Critical extensions nobody here understands; RFC 5280 section 4.2 demands refusal. */
  readonly unknownCritical: readonly string[];
}

type Writable = { -readonly [Key in keyof CertificateFacts]: CertificateFacts[Key] };

const MAX_NAMES = 128;

/** A subject alternative name that could be read in two ways. */
export class BadSubjectAlternativeName extends MalformedDer {}

/**
 * Reads a certificate from its DER (RFC 5280 section 4.1), version 3 only.
 *
 * @throws {MalformedDer} when it is not one, {BadSubjectAlternativeName} when a name in it holds bytes no name has.
 */
export function readCertificate(der: Buffer): CertificateFacts {
  const outer = new DerReader(der);
  const certificate = outer.read(DER.sequence);
  outer.expectEnd();
  const body = certificate.read(DER.sequence);
  const signatureAlgorithm = certificate.read(DER.sequence).oid();
  certificate.bytes(DER.bitString);
  certificate.expectEnd();

  const version = body.readOptional(0xa0)?.smallInteger() ?? 0;
  if (version !== 2) throw new MalformedDer("not a version 3 certificate");
  body.bytes(DER.integer);
  if (body.read(DER.sequence).oid() !== signatureAlgorithm) throw new MalformedDer("two different signature algorithms");
  body.skip();
  const validity = body.read(DER.sequence);
  const notBeforeMs = readTime(validity);
  const notAfterMs = readTime(validity);
  validity.expectEnd();
  const subject = readDistinguishedName(body.read(DER.sequence));
  body.skip();
  body.readOptional(0x81);
  body.readOptional(0x82);
  const facts: Writable = {
    notBeforeMs, notAfterMs, subject, signatureAlgorithm, uris: [], dnsNames: [], nameTags: [], isCa: false,
    maxPathLength: Infinity, keyUsage: null, isKeyUsageCritical: false, extendedKeyUsage: null, permitted: [],
    excluded: [], unknownCritical: [],
  };
  const extensions = body.readOptional(0xa3);
  body.expectEnd();
  if (extensions !== null) {
    readExtensions(extensions.read(DER.sequence), facts);
    extensions.expectEnd();
  }
  return facts;
}

function readExtensions(extensions: DerReader, facts: Writable): void {
  const seen = new Set<string>();
  const unknownCritical: string[] = [];
  while (!extensions.isAtEnd) {
    const extension = extensions.read(DER.sequence);
    const oid = extension.oid();
    if (seen.has(oid)) throw new MalformedDer(`extension ${oid} twice`);
    seen.add(oid);
    const isCritical = extension.tag === DER.boolean && extension.boolean();
    const value = new DerReader(extension.bytes(DER.octetString));
    extension.expectEnd();
    if (!readExtension(oid, value, isCritical, facts)) {
      if (isCritical) unknownCritical.push(oid);
      continue;
    }
    value.expectEnd();
  }
  facts.unknownCritical = unknownCritical;
}

/** Reads one extension; false when it is none of those we know. */
function readExtension(oid: string, value: DerReader, isCritical: boolean, facts: Writable): boolean {
  switch (oid) {
    case "2.5.29.14":
      value.bytes(DER.octetString);
      return true;
    case "2.5.29.35":
      value.bytes(DER.sequence);
      return true;
    case "2.5.29.15":
      facts.keyUsage = readKeyUsage(value.bytes(DER.bitString));
      facts.isKeyUsageCritical = isCritical;
      return true;
    case "2.5.29.17":
      readAlternativeNames(value.read(DER.sequence), facts);
      return true;
    case "2.5.29.19":
      readBasicConstraints(value.read(DER.sequence), facts);
      return true;
    case "2.5.29.30":
      readNameConstraints(value.read(DER.sequence), facts);
      return true;
    case "2.5.29.37": {
      const usages: string[] = [];
      for (const list = value.read(DER.sequence); !list.isAtEnd; ) usages.push(list.oid());
      facts.extendedKeyUsage = usages;
      return true;
    }
    default:
      return false;
  }
}

function readKeyUsage(bits: Buffer): number {
  const unused = bits[0];
  if (unused === undefined || unused > 7 || bits.length < 2 || bits.length > 3) throw new MalformedDer("bad keyUsage");
  // Bits that do not count must be zero (X.690 section 11.2.1): readers disagree about those that are not.
  if (((bits[bits.length - 1] as number) & ((1 << unused) - 1)) !== 0) throw new MalformedDer("keyUsage is not DER");
  const first = bits[1] as number;
  let usage = 0;
  for (let bit = 0; bit < 8; bit++) if ((first & (0x80 >> bit)) !== 0) usage |= 1 << bit;
  return usage;
}

function readBasicConstraints(value: DerReader, facts: Writable): void {
  if (value.tag === DER.boolean) facts.isCa = value.boolean();
  if (value.tag === DER.integer) facts.maxPathLength = value.smallInteger();
  value.expectEnd();
}

function readAlternativeNames(names: DerReader, facts: Writable): void {
  const uris: string[] = [];
  const dnsNames: string[] = [];
  const tags: number[] = [];
  while (!names.isAtEnd) {
    const { tag } = names;
    const content = names.bytes(tag);
    if (!GENERAL_NAMES.has(tag)) throw new BadSubjectAlternativeName(`name of unknown kind ${tag}`);
    if (tags.length === MAX_NAMES) throw new BadSubjectAlternativeName(`more than ${MAX_NAMES} names`);
    tags.push(tag);
    if (tag === 0xa0) readOtherName(new DerReader(content));
    else if (tag === GENERAL_NAME.directory) readDirectoryName(new DerReader(content));
    else if (tag === GENERAL_NAME.uri) uris.push(readName(content));
    else if (tag === GENERAL_NAME.dns) dnsNames.push(readName(content));
  }
  facts.uris = uris;
  facts.dnsNames = dnsNames;
  facts.nameTags = tags;
}

/*
 * Names of these kinds mean nothing to us, but one that is broken makes other readers drop the names beside it, and
 * then two readers of one certificate see two peers.
 */
function readOtherName(name: DerReader): void {
  name.oid();
  const value = name.read(0xa0);
  value.skip();
  value.expectEnd();
  name.expectEnd();
}

function readDirectoryName(name: DerReader): void {
  readDistinguishedName(name.read(DER.sequence));
  name.expectEnd();
}

/** An IA5String that stands for a host or a URI: visible ASCII and nothing else, so neither NUL nor a line end. */
function readName(content: Buffer): string {
  if (content.length === 0) throw new BadSubjectAlternativeName("empty name");
  for (const byte of content) {
    if (byte <= 0x20 || byte >= 0x7f) throw new BadSubjectAlternativeName(`byte ${byte} in a name`);
  }
  return content.toString("latin1");
}

function readNameConstraints(value: DerReader, facts: Writable): void {
  facts.permitted = readSubtrees(value.readOptional(0xa0));
  facts.excluded = readSubtrees(value.readOptional(0xa1));
  value.expectEnd();
}

function readSubtrees(trees: DerReader | null): NameConstraint[] {
  const constraints: NameConstraint[] = [];
  while (trees !== null && !trees.isAtEnd) {
    const tree = trees.read(DER.sequence);
    const { tag } = tree;
    if (!GENERAL_NAMES.has(tag)) throw new MalformedDer(`constraint of unknown kind ${tag}`);
    constraints.push({ tag, value: tree.bytes(tag).toString("latin1").toLowerCase() });
    // minimum and maximum: RFC 5280 section 4.2.1.10 allows neither.
    tree.expectEnd();
  }
  return constraints;
}

/** UTCTime or GeneralizedTime in the one form RFC 5280 section 4.1.2.5 allows: seconds present, `Z` at the end. */
function readTime(reader: DerReader): number {
  const isUtc = reader.tag === DER.utcTime;
  const text = reader.bytes(isUtc ? DER.utcTime : DER.generalizedTime).toString("latin1");
  const yearDigits = isUtc ? 2 : 4;
  if (!/^\d+Z$/.test(text) || text.length !== yearDigits + 11) throw new MalformedDer("bad time");
  const field = (start: number): number => Number(text.slice(yearDigits + start, yearDigits + start + 2));
  const shortYear = Number(text.slice(0, yearDigits));
  const year = isUtc ? shortYear + (shortYear < 50 ? 2000 : 1900) : shortYear;
  const time = new Date(0);
  time.setUTCFullYear(year, field(0) - 1, field(2));
  time.setUTCHours(field(4), field(6), field(8), 0);
  const isReal = time.getUTCMonth() === field(0) - 1 && time.getUTCDate() === field(2) && field(4) < 24 && field(6) < 60 && field(8) < 60;
  if (!isReal) throw new MalformedDer("no such time");
  return time.getTime();
}
