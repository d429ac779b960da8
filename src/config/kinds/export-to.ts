import type { Report } from "./report.ts";

/** `exportTo`: `*`, `.`, `~` and namespaces, where `*` and `~` stand alone, and nothing is named twice. */
export function checkExportTo(exportTo: readonly string[] | undefined, report: Report, options: { readonly allowsNone: boolean; readonly field?: string }): void {
  if (exportTo === undefined) return;
  exportTo.forEach((entry, index) => {
    const path = [options.field ?? "exportTo", index];
    if (exportTo.indexOf(entry) < index) report.error(path, `${JSON.stringify(entry)} is there twice`);
    else if (entry === "~" && !options.allowsNone) report.error(path, "\"~\" is not allowed here; use \".\" to keep it to its own namespace");
    else if ((entry === "*" || entry === "~") && exportTo.length > 1) report.error(path, `${JSON.stringify(entry)} must stand alone`);
    else if (!/^(?:[*.~]|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)$/.test(entry)) report.error(path, `${JSON.stringify(entry)} is neither "*", "." nor a namespace`);
  });
}
