import { describe, expect, it } from "vitest";
import { REVIEWS, REVIEWS_SUBSETS, compileYaml } from "./compile-yaml.ts";

/* Names that lead nowhere, and what was probably meant. */

function problemsOf(http: string, more = ""): readonly string[] {
  return compileYaml(`${REVIEWS}${REVIEWS_SUBSETS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: default }
spec:
  hosts: [reviews]
  ${more}
  http: [${http}]
`).problems;
}

describe("reportReferences", () => {
  it.each([
    ["a host that is misspelt", "route: [{ destination: { host: reviewz } }]",
      'spec.http[0].route[0].destination.host: no Service or ServiceEntry has the host reviewz.default.svc.cluster.local: requests sent there are answered 503; did you mean "reviews.default.svc.cluster.local"?'],
    ["a host of another namespace", "route: [{ destination: { host: reviews.prod.svc.cluster.local } }]",
      'spec.http[0].route[0].destination.host: no Service or ServiceEntry has the host reviews.prod.svc.cluster.local: requests sent there are answered 503; did you mean "reviews.default.svc.cluster.local"?'],
    ["a port", "route: [{ destination: { host: reviews, port: { number: 80 } } }]",
      "spec.http[0].route[0].destination.port.number: reviews.default.svc.cluster.local has no port 80: requests sent there are answered 503; its ports are 9080"],
    ["a subset", "route: [{ destination: { host: reviews, subset: V1 } }]",
      'spec.http[0].route[0].destination.subset: no DestinationRule defines a subset "V1" of reviews.default.svc.cluster.local: requests sent there are answered 503; did you mean "v1"?'],
  ])("%s", (_what, rule, expected) => {
    expect(problemsOf(`{ ${rule} }`)).toEqual([`error: VirtualService default/v: ${expected}`]);
  });

  it("looks at mirrors as at routes", () => {
    const found = problemsOf("{ route: [{ destination: { host: reviews } }], mirror: { host: reviewz } }");
    expect(found).toContain('error: VirtualService default/v: spec.http[0].mirror.host: no Service or ServiceEntry has the host reviewz.default.svc.cluster.local: no copy is sent there; did you mean "reviews.default.svc.cluster.local"?');
  });

  it("says nothing of rules that only gateways obey", () => {
    expect(problemsOf("{ route: [{ destination: { host: nobody } }] }", "gateways: [edge]")).toEqual([]);
  });

  it("finds the label value that was meant by a subset", () => {
    const { problems } = compileYaml(`${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: r, namespace: default }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: V1 } }] }
`);
    expect(problems).toEqual(['warning: DestinationRule default/r: spec.subsets[0].labels: no endpoint of reviews.default.svc.cluster.local has these labels: requests to subset v1 are answered 503; did you mean "v1"?']);
  });
});
