import { describe, expect, it } from "vitest";
import { Endpoint } from "../../../src/cluster/endpoint.ts";
import { TriedEndpoints } from "../../../src/router/tried-endpoints.ts";
import { endpointSpec } from "../cluster/fakes.ts";
import { RETRY } from "./exchange-bench.ts";

/* spec/03 3.5 and 3.6: retryIgnorePreviousHosts, retryRemoteLocalities. */

const at = (host: number, priority: number): Endpoint => new Endpoint({ ...endpointSpec(`10.0.0.${host}`), priority }, 0);
const near = [at(1, 0), at(2, 0), at(3, 0)];
const far = [at(4, 1), at(5, 1)];
const cluster = { endpoints: [...near, ...far] };
const names = (tried: TriedEndpoints): string[] => [...(tried.excluded ?? [])].map(({ address }) => address).toSorted();

describe("endpoints that a request has failed at", () => {
  it("are avoided, by default and without a policy", () => {
    for (const policy of [null, RETRY, { ...RETRY, avoidsPreviousHosts: true }]) {
      const tried = new TriedEndpoints(cluster, policy);
      expect(tried.excluded).toBeNull();
      tried.add(near[0] as Endpoint);
      tried.add(near[2] as Endpoint);
      expect(names(tried)).toEqual(["10.0.0.1", "10.0.0.3"]);
    }
  });

  it("are not with retryIgnorePreviousHosts: false", () => {
    const tried = new TriedEndpoints(cluster, { ...RETRY, avoidsPreviousHosts: false });
    tried.add(near[0] as Endpoint);
    tried.add(near[0] as Endpoint);
    expect(tried.excluded).toBeNull();
  });

  it("take their whole priority with them after two attempts, with retryRemoteLocalities", () => {
    const tried = new TriedEndpoints(cluster, { ...RETRY, prefersRemoteLocalities: true });
    tried.add(near[0] as Endpoint);
    expect(names(tried)).toEqual(["10.0.0.1"]);
    tried.add(near[1] as Endpoint);
    expect(names(tried)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    tried.add(far[0] as Endpoint);
    expect(names(tried)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    tried.add(far[0] as Endpoint);
    expect(names(tried)).toHaveLength(5);
  });

  it("leave priorities out even where hosts may be asked again", () => {
    const tried = new TriedEndpoints(cluster, { ...RETRY, prefersRemoteLocalities: true, avoidsPreviousHosts: false });
    tried.add(near[0] as Endpoint);
    expect(tried.excluded).toBeNull();
    tried.add(near[0] as Endpoint);
    expect(names(tried)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  });
});
