import * as v from "valibot";
import { isIP } from "node:net";
import { quote, text } from "./field.ts";

const LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
const WILDCARD_LABEL = /^(?:\*|\*-?[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)$/;

const SERVER_NAME = /^outbound_\.\d{1,5}_\.[-a-zA-Z0-9]*_\.[-a-zA-Z0-9.]{1,220}$/;

/**
 * What is wrong with a host name, or null. Short names (`reviews`), fully qualified ones with or without the final
 * dot, and, when allowed, a wildcard as (the beginning of) the first label: Istio's `ValidateWildcardDomain`.
 */
export function hostNameFault(name: string, options: { readonly allowsWildcard: boolean }): string | null {
  if (name === "") return "must not be empty";
  if (name.length > 255) return "must be at most 255 characters long";
  if (name === "*") return options.allowsWildcard ? null : "must not be the wildcard '*'";
  const parts = (name.endsWith(".") ? name.slice(0, -1) : name).split(".");
  const first = parts[0] as string;
  if (first.startsWith("*") && !options.allowsWildcard) return `must not be a wildcard, not ${quote(name)}`;
  const isFirstGood = LABEL.test(first) || (options.allowsWildcard && WILDCARD_LABEL.test(first));
  if (!isFirstGood || !parts.slice(1).every((part) => LABEL.test(part))) return `${quote(name)} is not a host name`;
  const last = parts.at(-1) as string;
  if (parts.length > 1 && /^\d+$/.test(last)) return `${quote(name)} is neither a host name nor an IP address`;
  return null;
}

function hostSchema(options: { readonly allowsWildcard: boolean; readonly allowsAddress: boolean }) {
  return v.pipe(
    text,
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      if (options.allowsAddress && isIP(dataset.value) !== 0) return;
      // The server names of east-west traffic hold an underscore, `outbound_.15010_._.istiod.istio-system...`.
      if (options.allowsAddress && SERVER_NAME.test(dataset.value)) return;
      const fault = hostNameFault(dataset.value, options);
      if (fault !== null) addIssue({ message: fault });
    }),
  );
}

/** A service's host: where traffic is sent. Some services have a wildcard for their name, but none is called `*`. */
export const destinationHost = v.pipe(hostSchema({ allowsWildcard: true, allowsAddress: true }), v.check((host) => host !== "*", "must not be the wildcard '*'"));
/** A host a rule applies to: a name, a wildcard, or an address. */
export const matchHost = hostSchema({ allowsWildcard: true, allowsAddress: true });
/** A host of a ServiceEntry or DestinationRule: a name or a wildcard. */
export const serviceHost = hostSchema({ allowsWildcard: true, allowsAddress: false });
