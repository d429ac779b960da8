import { isToken } from "../codec/http1-syntax.ts";
import { ProtobufError } from "../codec/protobuf-error.ts";
import { ProtobufReader } from "../codec/protobuf-reader.ts";
import { latin1Of } from "../core/latin1.ts";

/** What is done with a header; `name` in lower case and one that can be written, as `value` can, in latin1. */
export interface HeaderChange {
  readonly name: string;
  readonly value: string;
  readonly how: "append" | "add-if-absent" | "set" | "set-if-present";
}

/** What an authorizer wants of a request that it allows. */
export interface GrpcAllowed {
  readonly kind: "allowed";
  readonly requestHeaders: readonly HeaderChange[];
  /** Names, in lower case. */
  readonly removedHeaders: readonly string[];
  readonly responseHeaders: readonly HeaderChange[];
  readonly setParameters: readonly (readonly [name: string, value: string])[];
  readonly removedParameters: readonly string[];
}

/** It refuses, or (`error`) says that it could not decide. `status`: null for none. */
export interface GrpcRefused {
  readonly kind: "denied" | "error";
  readonly status: number | null;
  readonly headers: readonly HeaderChange[];
  readonly body: string;
}

export type GrpcDecision = GrpcAllowed | GrpcRefused;

/** More changes than anybody means to make of one request. */
const MAX_CHANGES = 1000;
const LIMITS = { maxDepth: 8, maxFields: 20 * MAX_CHANGES };

/** What no header value may hold (RFC 9110 section 5.5): it would end the field and begin another (CVE-2023-27493). */
// oxlint-disable-next-line no-control-regex
const UNWRITABLE = /[\0-\u0008\u000a-\u001f\u007f]/;

/** `HeaderValueOption.HeaderAppendAction`, by number. */
const ACTIONS = ["append", "add-if-absent", "set", "set-if-present"] as const;

/**
 * Reads `envoy.service.auth.v3.CheckResponse`: status = 1, denied_response = 2, ok_response = 3, error_response = 5; dynamic
 * metadata (4) is for nobody here. Null for bytes that are none, for changes that cannot be made, and for more of them than
 * anybody means to make.
 */
export function decodeCheckResponse(bytes: Buffer): GrpcDecision | null {
  try {
    return readResponse(new ProtobufReader(bytes, LIMITS));
  } catch (cause) {
    if (cause instanceof ProtobufError) return null;
    throw cause;
  }
}

function readResponse(message: ProtobufReader): GrpcDecision {
  let code = 0;
  let allowed: GrpcAllowed | null = null;
  let refused: GrpcRefused | null = null;
  while (message.next()) {
    const { field } = message;
    if (field === 1) {
      code = readCode(message.message(), code);
    } else if (field === 2 || field === 3 || field === 5) {
      // One of them at most; what two would mean together depends on who reads them.
      if (allowed !== null || refused !== null) throw new ProtobufError("two answers");
      if (field === 3) allowed = readAllowed(message.message());
      else refused = readRefused(message.message(), field === 2 ? "denied" : "error");
    }
  }
  // What a message says in the form for the other case is not asked for.
  return code === 0 ? allowed ?? NOTHING : refused ?? REFUSED;
}

/** `google.rpc.Status.code`, and that of `HttpStatus`. `before`: as said before; what is said twice is merged, as protobuf has it. */
function readCode(status: ProtobufReader, before: number): number {
  let code = before;
  while (status.next()) if (status.field === 1) code = status.int32();
  return code;
}

const NOTHING: GrpcAllowed = { kind: "allowed", requestHeaders: [], removedHeaders: [], responseHeaders: [], setParameters: [], removedParameters: [] };
const REFUSED: GrpcRefused = { kind: "denied", status: null, headers: [], body: "" };

/** `DeniedHttpResponse`: status = 1 { code = 1 }, headers = 2, body = 3. */
function readRefused(message: ProtobufReader, kind: "denied" | "error"): GrpcRefused {
  let status = 0;
  let body = "";
  const headers: HeaderChange[] = [];
  while (message.next()) {
    if (message.field === 1) status = readCode(message.message(), status);
    else if (message.field === 2) push(headers, readHeader(message.message(), "append"));
    else if (message.field === 3) body = message.string();
  }
  return { kind, status: status === 0 ? null : status, headers, body };
}

/**
 * `OkHttpResponse`: headers = 2, headers_to_remove = 5, response_headers_to_add = 6, query_parameters_to_set = 7,
 * query_parameters_to_remove = 8.
 */
function readAllowed(message: ProtobufReader): GrpcAllowed {
  const requestHeaders: HeaderChange[] = [];
  const removedHeaders: string[] = [];
  const responseHeaders: HeaderChange[] = [];
  const setParameters: [string, string][] = [];
  const removedParameters: string[] = [];
  while (message.next()) {
    // Unless told otherwise a header replaces the one its sender wrote, which would speak for him beside it.
    if (message.field === 2) push(requestHeaders, readHeader(message.message(), "set"));
    else if (message.field === 5) push(removedHeaders, latin1Of(message.string()).toLowerCase());
    else if (message.field === 6) push(responseHeaders, readHeader(message.message(), "append"));
    else if (message.field === 7) push(setParameters, message.textEntry());
    else if (message.field === 8) push(removedParameters, message.string());
  }
  return { kind: "allowed", requestHeaders, removedHeaders, responseHeaders, setParameters, removedParameters };
}

/**
 * `HeaderValueOption`: header = 1 { key = 1, value = 2, raw_value = 3 }, append = 2 { value = 1 }, append_action = 3.
 * `usual`: what is meant where it says nothing, which action 0 cannot be told from.
 */
function readHeader(option: ProtobufReader, usual: HeaderChange["how"]): HeaderChange {
  const header = { name: "", value: "" };
  let append: boolean | null = null;
  let action = 0;
  while (option.next()) {
    if (option.field === 1) readHeaderValue(option.message(), header);
    else if (option.field === 2) append = readFlag(option.message(), append ?? false);
    else if (option.field === 3) action = option.int32();
  }
  const { name, value } = header;
  if (!isToken(name.startsWith(":") ? name.slice(1) : name) || UNWRITABLE.test(value)) throw new ProtobufError("a header that cannot be written");
  // The older of the two fields goes first, as in Envoy.
  return { name, value, how: append === null ? actionOf(action, usual) : append ? "append" : "set" };
}

function readHeaderValue(message: ProtobufReader, header: { name: string; value: string }): void {
  while (message.next()) {
    if (message.field === 1) header.name = latin1Of(message.string()).toLowerCase();
    else if (message.field === 2) header.value = latin1Of(message.string());
    else if (message.field === 3) header.value = message.bytes().toString("latin1");
  }
}

function readFlag(wrapper: ProtobufReader, before: boolean): boolean {
  let flag = before;
  while (wrapper.next()) if (wrapper.field === 1) flag = wrapper.bool();
  return flag;
}

function actionOf(number: number, usual: HeaderChange["how"]): HeaderChange["how"] {
  if (number === 0) return usual;
  const action = ACTIONS[number];
  if (action === undefined) throw new ProtobufError(`append action ${number}`);
  return action;
}

function push<T>(into: T[], element: T): void {
  if (into.length >= MAX_CHANGES) throw new ProtobufError("too many changes");
  into.push(element);
}
