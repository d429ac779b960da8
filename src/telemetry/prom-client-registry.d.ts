/**
 * prom-client's registry alone. The package's main file also loads its cluster and push-gateway parts, and with them
 * http, https, zlib and cluster: about 15 MB of memory for nothing we use.
 */
declare module "prom-client/lib/registry.js" {
  import type { Registry } from "prom-client";
  const registry: typeof Registry;
  export default registry;
}
