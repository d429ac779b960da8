/** The side of a request a workload is on: `CLIENT` for what it sends, `SERVER` for what it is sent. */
export type TelemetryMode = "CLIENT" | "SERVER";

/** The providers an entry of a Telemetry names, lower-case: their case does not count (spec/06 6.8). */
export function providerNames(entry: { readonly providers: readonly { readonly name: string }[] }): string[] {
  return entry.providers.map(({ name }) => name.toLowerCase());
}
