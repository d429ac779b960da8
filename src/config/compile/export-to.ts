/**
 * Whether a resource of `ownNamespace` is visible in `namespace` (Istio `exportTo`): `*` everywhere, `.` at home, `~`
 * nowhere, otherwise the namespaces listed. An empty list means the mesh's default.
 */
export function isExportedTo(
  exportTo: readonly string[],
  ownNamespace: string,
  namespace: string,
  meshDefault: readonly string[],
): boolean {
  for (const entry of exportTo.length > 0 ? exportTo : meshDefault) {
    if (entry === "*" || entry === namespace || (entry === "." && ownNamespace === namespace)) return true;
  }
  return false;
}

/** Whether `labels` holds every pair of `selector`; an absent or empty selector selects everything. */
export function selects(
  selector: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (selector === undefined) return true;
  for (const [key, value] of Object.entries(selector)) {
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return true;
}
