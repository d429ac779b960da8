import protobuf from "protobufjs";

/*
 * The messages of Envoy's external authorization, as far as anybody here uses them, read by a codec that is not ours.
 * Field numbers are those of envoy/service/auth/v3, envoy/config/core/v3 and google/rpc.
 */
const PROTO = `
syntax = "proto3";
package envoy.service.auth.v3;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message SocketAddress { int32 protocol = 1; string address = 2; uint32 port_value = 3; }
message Address { SocketAddress socket_address = 1; }
message Peer { Address address = 1; string service = 2; map<string, string> labels = 3; string principal = 4; string certificate = 5; }
message HttpRequest {
  string id = 1; string method = 2; map<string, string> headers = 3; string path = 4; string host = 5; string scheme = 6; string query = 7;
  string fragment = 8; int64 size = 9; string protocol = 10; string body = 11; bytes raw_body = 12;
}
message Request { Timestamp time = 1; HttpRequest http = 2; }
message TLSSession { string sni = 1; }
message AttributeContext {
  Peer source = 1; Peer destination = 2; Request request = 4; map<string, string> context_extensions = 10; TLSSession tls_session = 12;
}
message CheckRequest { AttributeContext attributes = 1; }

message Status { int32 code = 1; string message = 2; }
message BoolValue { bool value = 1; }
message HttpStatus { int32 code = 1; }
message HeaderValue { string key = 1; string value = 2; bytes raw_value = 3; }
message HeaderValueOption { HeaderValue header = 1; BoolValue append = 2; int32 append_action = 3; bool keep_empty_value = 4; }
message QueryParameter { string key = 1; string value = 2; }
message Refusal { HttpStatus status = 1; repeated HeaderValueOption headers = 2; string body = 3; }
message OkHttpResponse {
  repeated HeaderValueOption headers = 2; map<string, string> dynamic_metadata = 3; repeated string headers_to_remove = 5;
  repeated HeaderValueOption response_headers_to_add = 6; repeated QueryParameter query_parameters_to_set = 7;
  repeated string query_parameters_to_remove = 8;
}
message CheckResponse { Status status = 1; Refusal denied_response = 2; OkHttpResponse ok_response = 3; map<string, string> dynamic_metadata = 4; Refusal error_response = 5; }
`;

const root = protobuf.parse(PROTO, { keepCase: true }).root;
const requestType = root.lookupType("envoy.service.auth.v3.CheckRequest");
const responseType = root.lookupType("envoy.service.auth.v3.CheckResponse");

export interface PeerMessage {
  readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } };
  readonly principal: string;
}

/** A CheckRequest as an authorizer reads it; what was not sent is empty, 0 or absent. */
export interface CheckRequestMessage {
  readonly attributes: {
    readonly source: PeerMessage;
    readonly destination: PeerMessage;
    readonly request?: {
      readonly time: { readonly seconds: string; readonly nanos: number };
      readonly http: {
        readonly id: string; readonly method: string; readonly headers: Readonly<Record<string, string>>; readonly path: string; readonly host: string;
        readonly scheme: string; readonly size: string; readonly protocol: string; readonly body: string; readonly raw_body: Buffer;
      };
    };
    readonly tls_session?: { readonly sni: string };
  };
}

export interface HeaderOption {
  readonly header: { readonly key: string; readonly value?: string; readonly raw_value?: Buffer };
  readonly append?: { readonly value: boolean };
  readonly append_action?: number;
}

interface RefusalMessage {
  readonly status?: { readonly code: number };
  readonly headers?: readonly HeaderOption[];
  readonly body?: string;
}

/** A CheckResponse as an authorizer writes it. */
export interface CheckResponseMessage {
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly denied_response?: RefusalMessage;
  readonly error_response?: RefusalMessage;
  readonly ok_response?: {
    readonly headers?: readonly HeaderOption[];
    readonly headers_to_remove?: readonly string[];
    readonly response_headers_to_add?: readonly HeaderOption[];
    readonly query_parameters_to_set?: readonly { readonly key: string; readonly value: string }[];
    readonly query_parameters_to_remove?: readonly string[];
  };
  readonly dynamic_metadata?: Readonly<Record<string, string>>;
}

/** @throws Error for bytes that are none. */
export function decodeCheckRequest(bytes: Buffer): CheckRequestMessage {
  return requestType.toObject(requestType.decode(bytes), { longs: String, bytes: Buffer, defaults: false, arrays: true, objects: true }) as CheckRequestMessage;
}

export function encodeCheckResponse(response: CheckResponseMessage): Buffer {
  return Buffer.from(responseType.encode(responseType.fromObject(response)).finish());
}

/** A CheckResponse as others read it. @throws Error for bytes that are none. */
export function decodeCheckResponseElsewhere(bytes: Buffer): CheckResponseMessage {
  return responseType.toObject(responseType.decode(bytes), { bytes: Buffer, defaults: false }) as CheckResponseMessage;
}
