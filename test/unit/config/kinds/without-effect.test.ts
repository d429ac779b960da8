import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { rule, virtualService } from "../broken/broken-yaml.ts";

/* What Istio takes and a sidecar never makes anything of. */

function linesOf(yaml: string, file = "f.yaml"): string[] {
  const { parsed } = parseFile(file, Buffer.from(yaml));
  return parsed.objects.flatMap(({ problems }) => problems).map((problem) => formatProblem(problem).replace(/^[^:]*:\d+:\d+: /, ""));
}

const VS = "VirtualService shop/a: spec";

describe("conditions of retries that never hold", () => {
  it("are told, beside those that do", () => {
    expect(linesOf(rule('retries: {attempts: 2, retryOn: "503, retriable-headers,http3-post-connect-failure"}'))).toEqual([
      `warning: ${VS}.http[0].retries.retryOn: "retriable-headers" has no effect: there is no field that would name the headers`,
      `warning: ${VS}.http[0].retries.retryOn: "http3-post-connect-failure" has no effect: nothing is sent by HTTP/3`,
    ]);
    expect(linesOf(rule("retries: {attempts: 2, retryOn: 'connect-failure,503'}"))).toEqual([]);
  });

  it("are told of the mesh's policy too", () => {
    expect(linesOf("defaultHttpRetryPolicy: {attempts: 2, retryOn: retriable-headers}\n", "mesh.yaml")).toEqual([expect.stringMatching(/^warning: MeshConfig .*defaultHttpRetryPolicy\.retryOn: "retriable-headers" has no effect/)]);
  });
});

describe("claims of tokens", () => {
  const matching = (gateways: string, match: string): string =>
    virtualService(`{hosts: [reviews.test], ${gateways} http: [{match: [${match}], route: [{destination: {host: reviews}}]}]}`);
  const CLAIM = '"@request.auth.claims.group": {exact: admin}';
  const PLACE = `${VS}.http[0].match[0]`;

  it.each([
    ["", `{headers: {${CLAIM}}}`, [`error: ${PLACE}.headers["@request.auth.claims.group"]: routing by the claims of a token works at gateways only`]],
    ["gateways: [mesh],", `{headers: {${CLAIM}}}`, [`error: ${PLACE}.headers["@request.auth.claims.group"]: routing by the claims of a token works at gateways only`]],
    ["gateways: [edge, mesh],", `{headers: {${CLAIM}}}`, [`warning: ${PLACE}.headers["@request.auth.claims.group"]: is for gateways only: in a sidecar, for which "mesh" is named too, this match never holds`]],
    ["gateways: [mesh, edge],", `{withoutHeaders: {${CLAIM}}}`, [`warning: ${PLACE}.withoutHeaders["@request.auth.claims.group"]: is for gateways only: in a sidecar, for which "mesh" is named too, there are no claims, so that this always holds`]],
    ["gateways: [edge, mesh],", `{gateways: [edge], headers: {${CLAIM}}}`, []],
    ["gateways: [edge],", `{headers: {${CLAIM}}}`, []],
  ])("%s %s", (gateways, match, expected) => {
    expect(linesOf(matching(gateways, match))).toEqual(expected);
  });
});

describe("the status of a fault", () => {
  it.each([[199, false], [200, true], [599, true], [600, false]])("%d: accepted %s", (status, isAccepted) => {
    const lines = linesOf(rule(`fault: {abort: {httpStatus: ${status}, percentage: {value: 1}}}`));
    expect(lines).toEqual(isAccepted ? [] : [`error: ${VS}.http[0].fault.abort.httpStatus: must be an HTTP status from 200 to 599, not ${status}`]);
  });
});

it("a private key among those that verify tokens is told, and not quoted", () => {
  const keys = (key: object): string => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a, namespace: shop}
spec: {jwtRules: [{issuer: a, jwks: ${JSON.stringify(JSON.stringify({ keys: [key] }))}}]}
`;
  expect(linesOf(keys({ kty: "OKP", crv: "Ed25519", x: "public", d: "private" }))).toEqual([
    'warning: RequestAuthentication shop/a: spec.jwtRules[0].jwks: holds a private key, which verifies nothing: whoever reads this can sign tokens; write its public part alone, without "d", and make a new key',
  ]);
  expect(linesOf(keys({ kty: "OKP", crv: "Ed25519", x: "public" }))).toEqual([]);
});
