import type { StringMatchSpec } from "../../core/string-match.ts";
import type { HttpRule } from "../kinds/virtual-service.ts";
import type { RouteSpec } from "../snapshot.ts";
import { compileStringMatch } from "./route-match.ts";

/** The CORS policy of a rule (spec/03 3.10). The older `allowOrigin` counts where `allowOrigins` is not written. */
export function corsOf({ corsPolicy: cors }: HttpRule): Pick<RouteSpec, "cors"> {
  if (cors === undefined) return {};
  const exact = (value: string): StringMatchSpec => ({ kind: "exact", value });
  return {
    cors: {
      allowOrigins: cors.allowOrigins.length > 0 ? cors.allowOrigins.map(compileStringMatch) : cors.allowOrigin.map(exact),
      allowMethods: cors.allowMethods,
      allowHeaders: cors.allowHeaders,
      exposeHeaders: cors.exposeHeaders,
      maxAgeSeconds: cors.maxAge === undefined ? null : cors.maxAge / 1000,
      allowCredentials: cors.allowCredentials ?? false,
      unmatchedPreflights: cors.unmatchedPreflights === "IGNORE" ? "IGNORE" : "FORWARD",
    },
  };
}
