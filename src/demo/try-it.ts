import type { Mesh } from "./mesh.ts";

/** What to try while the demo stays up: lines that work as they are pasted. */
export function tryIt({ configuration, network, sidecars, workspace }: Mesh): string {
  const from = (pod: "productpage" | "visitor"): string => `${network.shell(pod)}curl -sS`;
  const productpage = network.callUrl("productpage");
  const outside = network.isShared ? "curl -sS" : `${network.shell("visitor").replace("-visitor ", "-wire ")}curl -sS`;
  const { address, port } = network.application("v2");
  const application = `http://${address === "0.0.0.0" ? "127.0.0.1" : address}:${port}`;
  const page = (pod: "productpage" | "reviews-v1", kind: "admin" | "metrics", path: string): string =>
    `${network.shell(pod)}curl -sS http://127.0.0.1:${sidecars[pod].ports[kind]}${path}`;
  return `
The mesh stays up until Ctrl-C. Try, in another terminal:

 as productpage, through its sidecar
   ${from("productpage")} -H 'Host: reviews' ${productpage}/
   ${from("productpage")} -H 'Host: reviews' -H 'end-user: tester' ${productpage}/
   ${from("productpage")} -H 'Host: reviews' -X DELETE ${productpage}/
 as visitor, whom nobody lets in
   ${from("visitor")} -H 'Host: reviews' ${network.callUrl("visitor")}/
 from outside of the mesh, in plain HTTP
   ${outside} -H 'Host: reviews' ${network.directUrl}/
 break v2, look, mend it
   ${network.shell("reviews-v2")}curl -sS -X POST ${application}/fail
   ${from("productpage")} -H 'Host: reviews' ${productpage}/any
   ${page("productpage", "admin", "/clusters")}
   ${network.shell("reviews-v2")}curl -sS -X POST ${application}/work
 look into a sidecar
   ${page("productpage", "metrics", "/stats/prometheus")} | grep istio_requests_total
   ${page("reviews-v1", "metrics", "/stats/prometheus")} | grep istio_requests_total
   ${page("productpage", "admin", "/config_dump")}
   ${page("productpage", "admin", "/certs")}
${network.isShared ? `   in a browser: http://127.0.0.1:${sidecars.productpage.ports.admin}/\n` : ""} edit the YAML, in force within a second
   ${configuration}
 logs, an access log line for each request
   ${workspace.path("logs")}
`;
}
