import { isFramingField } from "../message/framing-fields.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { AllowedChanges } from "./ext-authz-outcome.ts";

type Fields = AllowedChanges["set"];

const NONE: Fields = [];

/** Fields of one hop beside those that frame, and the names that HTTP/1 and HTTP/2 give the host. */
const NOT_FOR_OTHERS: ReadonlySet<string> = new Set(["host", "te", "trailer"]);
/** Of fields that only one of us says, of itself. */
const OWN_PREFIX = "x-outrider-";

/**
 * Whether an authorizer may write or take away a field: none that says where a message ends or whom it is for, since
 * what was routed and authorized is what is sent; and none by which a proxy speaks for itself.
 *
 * @param key in lower case.
 */
export function isOthersToChange(key: string): boolean {
  return key !== "" && !key.startsWith(":") && !isFramingField(key) && !NOT_FOR_OTHERS.has(key) && !key.startsWith(OWN_PREFIX);
}

/** Changes a request that was allowed, before anybody else looks at it. */
export function changeRequest(head: RequestHead, { set, append, remove, path }: AllowedChanges): void {
  replaceAll(head.headers, set);
  appendAll(head.headers, append);
  for (const key of remove) if (isOthersToChange(key)) head.headers.remove(key);
  if (path !== null) head.path = path;
}

/** Changes its response. */
export function changeResponse({ headers }: ResponseHead, changes: AllowedChanges): void {
  const { addToResponse, setInResponse, replaceInResponse = NONE, completeResponse = NONE } = changes;
  replaceAll(headers, setInResponse);
  replaceAll(headers, replaceInResponse.filter(([name]) => headers.has(name.toLowerCase())));
  appendAll(headers, completeResponse.filter(([name]) => !headers.has(name.toLowerCase())));
  appendAll(headers, addToResponse);
}

/** Whether a response is changed at all. */
export function changesResponse({ addToResponse, setInResponse, replaceInResponse = NONE, completeResponse = NONE }: AllowedChanges): boolean {
  return addToResponse.length + setInResponse.length + replaceInResponse.length + completeResponse.length > 0;
}

/** Whoever sent a request wrote its fields, too: of a name that the authorizer writes, none of theirs stays. */
function replaceAll(headers: HeaderList, fields: Fields): void {
  for (const [name] of fields) if (isOthersToChange(name.toLowerCase())) headers.remove(name.toLowerCase());
  appendAll(headers, fields);
}

function appendAll(headers: HeaderList, fields: Fields): void {
  for (const [name, value] of fields) if (isOthersToChange(name.toLowerCase())) headers.append(name, value);
}
