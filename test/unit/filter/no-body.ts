import type { FilterRequest } from "../../../src/filter/filter-chain.ts";

/** What a gate finds of the body of a request that has none. */
export const NO_BODY: Pick<FilterRequest, "hasBody" | "readBody" | "findRouteAgain"> = {
  hasBody: false,
  readBody: () => Promise.reject(new Error("there is no body")),
  findRouteAgain() {},
};
