import type { Path } from "../resource.ts";
import type { Report } from "./report.ts";

/** Weights of a route: one destination needs none, several need at least one that is not 0 (`spec/03` 3.3). */
export function checkWeights(route: readonly { readonly weight: number }[], path: Path, report: Report): void {
  if (route.length > 1 && route.every(({ weight }) => weight === 0)) report.error(path, "the weights of several destinations must not all be 0");
}
