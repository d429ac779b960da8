import { HpackField, HpackName } from "./hpack-field.ts";

/** RFC 7541 appendix A, one entry a line from index 1 on; a value stands behind the last colon that is not the first character. */
const ENTRIES = `
:authority
:method:GET
:method:POST
:path:/
:path:/index.html
:scheme:http
:scheme:https
:status:200
:status:204
:status:206
:status:304
:status:400
:status:404
:status:500
accept-charset
accept-encoding:gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

/** Entries of the static table; a dynamic table's newest entry has the next index. */
export const STATIC_ENTRIES = 61;

/** The static table by index; index 0 means nothing and holds an empty field. */
export const STATIC_TABLE: readonly HpackField[] = build();

function build(): HpackField[] {
  const names = new Map<string, HpackName>();
  const table = [new HpackField(new HpackName(""), "")];
  for (const line of ENTRIES.trim().split("\n")) {
    const colon = line.indexOf(":", 1);
    const text = colon < 0 ? line : line.slice(0, colon);
    let name = names.get(text);
    if (name === undefined) {
      name = new HpackName(text);
      names.set(text, name);
    }
    table.push(new HpackField(name, colon < 0 ? "" : line.slice(colon + 1)));
  }
  return table;
}
