import { isFramingField } from "../../message/framing-fields.ts";
import type { Path } from "../resource.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import { isHeaderName, isLiteralHeaderValue } from "./header-rules.ts";
import type { Report } from "./report.ts";

type HttpAuthorizer = NonNullable<ExtensionProvider["envoyExtAuthzHttp"]>;

const HEADER_LISTS = [
  "includeHeadersInCheck", "includeRequestHeadersInCheck", "headersToUpstreamOnAllow", "headersToDownstreamOnDeny", "headersToDownstreamOnAllow",
] as const;

/** The rules over the fields of the two kinds of external authorizers (`spec/05` 5.5, Istio's `ValidateExtensionProviderEnvoyExtAuthz*`). */
export function checkExternalAuthorizer(provider: ExtensionProvider, path: Path, report: Report): void {
  for (const kind of ["envoyExtAuthzHttp", "envoyExtAuthzGrpc"] as const) {
    const authorizer = provider[kind];
    if (authorizer === undefined) continue;
    const { service, statusOnError, includeRequestBodyInCheck: body } = authorizer;
    if (!/^(?:[^/:]+\/)?[^/:]+$/.test(service)) {
      report.error([...path, kind, "service"], `must be a host name of the registry, or NAMESPACE/HOST, without scheme and port, not ${JSON.stringify(service)}`);
    }
    if (statusOnError !== undefined && !/^[2-5]\d\d$/.test(statusOnError)) {
      report.error([...path, kind, "statusOnError"], `must be an HTTP status such as "403", not ${JSON.stringify(statusOnError)}`);
    } else if (statusOnError !== undefined && Number(statusOnError) < 400) {
      report.warn([...path, kind, "statusOnError"], `tells whoever is denied by ${statusOnError} that all went well; use 4xx or 5xx`);
    }
    if (body !== undefined && (body.maxRequestBytes ?? 0) === 0) {
      report.error([...path, kind, "includeRequestBodyInCheck", "maxRequestBytes"], "is required and must be at least 1; leave includeRequestBodyInCheck out to show no body");
    }
  }
  if (provider.envoyExtAuthzHttp !== undefined) checkHttp(provider.envoyExtAuthzHttp, [...path, "envoyExtAuthzHttp"], report);
}

function checkHttp(authorizer: HttpAuthorizer, path: Path, report: Report): void {
  const { pathPrefix } = authorizer;
  if (pathPrefix !== undefined && pathPrefix !== "" && !/^\/[!-~]*$/.test(pathPrefix)) {
    report.error([...path, "pathPrefix"], `must begin with "/", and be nothing but a path, not ${JSON.stringify(pathPrefix)}`);
  } else if (/[?#]/.test(pathPrefix ?? "")) {
    report.error([...path, "pathPrefix"], "must have neither query nor fragment");
  } else if (pathPrefix?.endsWith("/") === true) {
    report.warn([...path, "pathPrefix"], `goes before a path that begins with "/": /x is asked about as ${pathPrefix}/x; leave its last "/" out`);
  }
  for (const field of HEADER_LISTS) authorizer[field].forEach((name, index) => checkPattern(name, [...path, field, index], report));
  if (authorizer.includeHeadersInCheck.length > 0 && authorizer.includeRequestHeadersInCheck.length > 0) {
    report.warn([...path, "includeHeadersInCheck"], "has no effect beside includeRequestHeadersInCheck, its name of today");
  }
  for (const [name, value] of Object.entries(authorizer.includeAdditionalHeadersInCheck ?? {})) {
    const at = [...path, "includeAdditionalHeadersInCheck", name];
    if (!isHeaderName(name)) report.error(at, `${JSON.stringify(name)} is not a header name`);
    else if (isFramingField(name.toLowerCase()) || name.toLowerCase() === "host") report.error(at, `${JSON.stringify(name)} is no header that can be set`);
    if (!isLiteralHeaderValue(value)) report.error(at, `${JSON.stringify(value)} is not a header value`);
  }
}

/** `name`, `prefix*` or `*suffix`; unlike in policies, `*` alone is none. */
function checkPattern(pattern: string, path: Path, report: Report): void {
  if (pattern === "*") report.error(path, "must not be \"*\": name the headers, or what they begin or end with");
  else if (!isHeaderName(pattern) || !/^\*?[^*]+$|^[^*]+\*$/.test(pattern)) {
    report.error(path, `must be a header name, or the beginning or end of one with "*", not ${JSON.stringify(pattern)}`);
  }
}
