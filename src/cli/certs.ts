import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { systemClock } from "../core/clock.ts";
import type { Clock } from "../core/clock.ts";
import { DevelopmentCa } from "../identity/development-ca.ts";
import type { IssuedCertificate } from "../identity/development-ca.ts";
import { parseSpiffeId, trustDomainProblem, workloadSpiffeId } from "../identity/spiffe-id.ts";

const HELP = `Usage: outrider certs --out DIR [options] ns/NAMESPACE/sa/ACCOUNT [...]

Makes certificates for workloads of a mesh on this machine: a development CA (made once, taken up again when
DIR/root-key.pem is there) and, for each workload, DIR/NAMESPACE.ACCOUNT/{cert-chain,key,root-cert}.pem.
Running it again renews them; a proxy takes the new ones up by itself. Not for production: the CA's key lies in DIR.

  --out DIR              folder to write to (required)
  --trust-domain NAME    trust domain of the SPIFFE IDs (default cluster.local)
  --leaf-lifetime TIME   validity of workload certificates, as 30m, 24h or 90d (default 90d)
  --root-lifetime TIME   validity of a new root certificate (default 3650d)
  --help                 this text
`;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

interface Request {
  readonly out: string;
  readonly trustDomain: string;
  readonly leafLifetimeMs: number;
  readonly rootLifetimeMs: number;
  readonly workloads: readonly { readonly namespace: string; readonly serviceAccount: string }[];
}

/**
 * `outrider certs`: the development CA. `args` are the words after `certs`.
 *
 * @returns the exit code: 0, or 2 when it could not do what was asked, with one line on stderr.
 */
export async function certs(args: readonly string[]): Promise<number> {
  try {
    const request = readArguments(args);
    if (request === null) {
      process.stdout.write(HELP);
    } else {
      for (const path of writeCertificates(request, systemClock)) process.stdout.write(`${path}\n`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`outrider certs: ${(error as Error).message}\n`);
    return 2;
  }
}

/** What the words ask for; null: help. @throws when they make no sense. */
function readArguments(args: readonly string[]): Request | null {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { out: text, "trust-domain": text, "leaf-lifetime": text, "root-lifetime": text, help: { type: "boolean", short: "h" } },
  });
  if (values.help === true) return null;
  if (values.out === undefined) throw new Error("--out DIR is required; see --help");
  if (positionals.length === 0) throw new Error("name at least one workload, as ns/NAMESPACE/sa/ACCOUNT");
  const trustDomain = values["trust-domain"] ?? "cluster.local";
  const problem = trustDomainProblem(trustDomain);
  if (problem !== null) throw new Error(`--trust-domain ${trustDomain}: ${problem}`);
  return {
    out: values.out,
    trustDomain,
    leafLifetimeMs: readLifetime("--leaf-lifetime", values["leaf-lifetime"] ?? "90d"),
    rootLifetimeMs: readLifetime("--root-lifetime", values["root-lifetime"] ?? "3650d"),
    workloads: positionals.map((word) => readWorkload(word, trustDomain)),
  };
}

function readWorkload(word: string, trustDomain: string): { namespace: string; serviceAccount: string } {
  const id = parseSpiffeId(`spiffe://${trustDomain}/${word}`);
  if (typeof id === "string" || id.namespace === null || id.serviceAccount === null) {
    throw new Error(`${word} is not a workload; write it as ns/NAMESPACE/sa/ACCOUNT`);
  }
  return { namespace: id.namespace, serviceAccount: id.serviceAccount };
}

function readLifetime(flag: string, value: string): number {
  const [, digits, unit = ""] = /^(\d{1,6})([smhd])$/.exec(value) ?? [];
  const lifetimeMs = Number(digits) * (UNITS_MS[unit] ?? Number.NaN);
  if (!(lifetimeMs > 0)) throw new Error(`${flag} ${value}: write a number and s, m, h or d, as 24h`);
  return lifetimeMs;
}

/** Writes everything asked for; gives the folders of the workloads. */
function writeCertificates(request: Request, clock: Clock): string[] {
  const { out, trustDomain, leafLifetimeMs, workloads } = request;
  mkdirSync(out, { recursive: true });
  const ca = takeUpRoot(request, clock);
  return workloads.map(({ namespace, serviceAccount }) => {
    const folder = join(out, `${namespace}.${serviceAccount}`);
    writeIdentity(folder, ca.issue(workloadSpiffeId(trustDomain, namespace, serviceAccount), { lifetimeMs: leafLifetimeMs }));
    return folder;
  });
}

function takeUpRoot({ out, trustDomain, rootLifetimeMs }: Request, clock: Clock): DevelopmentCa {
  const certificatePath = join(out, "root-cert.pem");
  const keyPath = join(out, "root-key.pem");
  if (existsSync(keyPath)) {
    return DevelopmentCa.load(trustDomain, readFileSync(certificatePath, "latin1"), readFileSync(keyPath, "latin1"), clock);
  }
  if (existsSync(certificatePath)) throw new Error(`${certificatePath} is there but its key ${keyPath} is not; choose another folder`);
  const ca = DevelopmentCa.create(trustDomain, clock, { lifetimeMs: rootLifetimeMs });
  replaceFile(keyPath, ca.privateKeyPem, 0o600);
  replaceFile(certificatePath, ca.rootPem, 0o644);
  return ca;
}

/** The three files a proxy's `--certs` folder holds, the key readable by its owner alone. */
function writeIdentity(folder: string, issued: IssuedCertificate): void {
  mkdirSync(folder, { recursive: true });
  replaceFile(join(folder, "root-cert.pem"), issued.rootPem, 0o644);
  replaceFile(join(folder, "key.pem"), issued.privateKeyPem, 0o600);
  replaceFile(join(folder, "cert-chain.pem"), issued.certificateChainPem, 0o644);
}

/** Writes beside and renames: a proxy that reads meanwhile sees the old file or the new one, never half of one. */
function replaceFile(path: string, content: string, mode: number): void {
  const beside = `${path}.new`;
  rmSync(beside, { force: true });
  writeFileSync(beside, content, { mode, flag: "wx" });
  renameSync(beside, path);
}
