import { beforeEach, describe, expect, it } from "vitest";

import type { TrustSourceSpec } from "../../../src/config/snapshot-security.ts";
import { MeshTrust } from "../../../src/control/mesh-trust.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import type { SpiffeBundle } from "../../../src/identity/spiffe-bundle.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { idOf, materialOf, newCa, TRUST_DOMAIN } from "../identity/test-mesh.ts";

const PARTNER = "partner.example";
const bare = (pem: string): string => pem.replaceAll("\r", "").trimEnd() + "\n";
const ca = newCa();
const own = bare(ca.rootPem);
const [ownNext, partner] = [newCa(), newCa(PARTNER)].map(({ rootPem }) => bare(rootPem)) as [string, string];
const URL = "https://partner.example/bundle";

const pemFor = (pem: string, ...trustDomains: string[]): TrustSourceSpec => ({ trustDomains, roots: { kind: "pem", pem } });
const urlFor = (...trustDomains: string[]): TrustSourceSpec => ({ trustDomains, roots: { kind: "url", url: URL } });
const identity = (): IdentityMaterial => ({ ...materialOf(ca.issue(idOf("reviews"))), bundles: [{ trustDomain: TRUST_DOMAIN, pem: own }] });

let published: IdentityMaterial[];
let answer: (bundle: Partial<SpiffeBundle>) => Promise<void>;
let trust: MeshTrust;

beforeEach(() => {
  published = [];
  const time = new ManualTime();
  trust = new MeshTrust({
    clock: time, timers: time.timers, metrics: new SeriesWriter(() => undefined),
    log: { info: () => undefined, warn: () => undefined }, saved: null,
    fetch: () => new Promise((resolve) => {
      answer = async (bundle) => {
        resolve({ pem: partner, sequence: null, refreshHintSeconds: null, ...bundle });
        await new Promise(setImmediate);
      };
    }),
    onMaterial: (material) => published.push(material),
  });
});

const use = (...sources: TrustSourceSpec[]): void => trust.useSources(sources, () => undefined);
const bundles = (): Record<string, string> => Object.fromEntries((published.at(-1)?.bundles ?? []).map(({ trustDomain, pem }) => [trustDomain, pem]));

describe("MeshTrust", () => {
  it("hands on an identity as it came while nothing else is trusted", () => {
    const material = identity();
    trust.useIdentity(material);
    expect(published).toEqual([material]);
    trust.useIdentity({ ...material, generation: 2 });
    expect(published).toHaveLength(1);
  });

  it("waits for an identity, then has the roots of the mesh at once", () => {
    use(pemFor(partner, PARTNER));
    expect(published).toEqual([]);
    trust.useIdentity(identity());
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own, [PARTNER]: partner });
  });

  it("counts every change of either as a generation, and what is the same as none", () => {
    trust.useIdentity(identity());
    use(pemFor(partner, PARTNER));
    use(pemFor(partner, PARTNER));
    trust.useIdentity({ ...identity(), generation: 2 });
    use();
    expect(published.map(({ generation }) => generation)).toEqual([1, 2, 3, 4]);
    expect(trust.material).toBe(published.at(-1));
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own });
  });

  it("gives roots without a trust domain to our own, and to no other", () => {
    trust.useIdentity(identity());
    use(pemFor(ownNext), pemFor(partner, PARTNER));
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own + ownNext, [PARTNER]: partner });
  });

  it("puts several entries of one domain together", () => {
    trust.useIdentity(identity());
    use(pemFor(partner, PARTNER), pemFor(ownNext, PARTNER, "third.example"));
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own, [PARTNER]: partner + ownNext, "third.example": ownNext });
  });

  it("believes nobody of a domain whose bundle was not fetched yet, and its roots once it was, until they are revoked", async () => {
    trust.useIdentity(identity());
    use(urlFor(PARTNER), urlFor());
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own, [PARTNER]: "" });
    await answer({});
    expect(bundles()).toEqual({ [TRUST_DOMAIN]: own + partner, [PARTNER]: partner });
    expect(trust.status()).toMatchObject([{ url: URL, hasBundle: true }]);
    trust.stop();
  });

  it("tells one change after the other, also when the first brings the second", () => {
    const heard: number[] = [];
    const time = new ManualTime();
    const nested = new MeshTrust({
      clock: time, timers: time.timers, metrics: new SeriesWriter(() => undefined), log: { info: () => undefined, warn: () => undefined }, saved: null,
      fetch: () => Promise.reject(new Error("not asked for")),
      onMaterial: ({ generation }) => {
        nested.useSources([pemFor(partner, PARTNER)], () => undefined);
        heard.push(generation);
      },
    });
    nested.useIdentity(identity());
    expect(heard).toEqual([1, 2]);
  });
});
