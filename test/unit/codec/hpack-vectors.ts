/** A block of an example: what it says, how it is coded, and the size and number of entries of the table after it. */
export interface Vector {
  readonly fields: readonly (readonly [string, string])[];
  readonly block: string;
  readonly tableBytes: number;
  readonly tableCount: number;
}

export interface Example {
  readonly section: string;
  readonly maxTableBytes: number;
  readonly usesHuffman: boolean;
  readonly blocks: readonly Vector[];
}

const request = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "www.example.com"]] as const;
const secureRequest = [[":method", "GET"], [":scheme", "https"], [":path", "/index.html"], [":authority", "www.example.com"], ["custom-key", "custom-value"]] as const;
const response = (status: string, date: string) =>
  [[":status", status], ["cache-control", "private"], ["date", `Mon, 21 Oct 2013 20:13:${date} GMT`], ["location", "https://www.example.com"]] as const;
const lastResponse = [
  [":status", "200"], ["cache-control", "private"], ["date", "Mon, 21 Oct 2013 20:13:22 GMT"], ["location", "https://www.example.com"], ["content-encoding", "gzip"],
  ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
] as const;

/** RFC 7541 appendix C.2 to C.6. */
export const EXAMPLES: readonly Example[] = [
  { section: "C.2.1", maxTableBytes: 4096, usesHuffman: false, blocks: [
    { fields: [["custom-key", "custom-header"]], block: "400a637573746f6d2d6b65790d637573746f6d2d686561646572", tableBytes: 55, tableCount: 1 }] },
  { section: "C.2.2", maxTableBytes: 4096, usesHuffman: false, blocks: [
    { fields: [[":path", "/sample/path"]], block: "040c2f73616d706c652f70617468", tableBytes: 0, tableCount: 0 }] },
  { section: "C.2.3", maxTableBytes: 4096, usesHuffman: false, blocks: [
    { fields: [["password", "secret"]], block: "100870617373776f726406736563726574", tableBytes: 0, tableCount: 0 }] },
  { section: "C.2.4", maxTableBytes: 4096, usesHuffman: false, blocks: [
    { fields: [[":method", "GET"]], block: "82", tableBytes: 0, tableCount: 0 }] },
  { section: "C.3", maxTableBytes: 4096, usesHuffman: false, blocks: [
    { fields: request, block: "828684410f7777772e6578616d706c652e636f6d", tableBytes: 57, tableCount: 1 },
    { fields: [...request, ["cache-control", "no-cache"]], block: "828684be58086e6f2d6361636865", tableBytes: 110, tableCount: 2 },
    { fields: secureRequest, block: "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", tableBytes: 164, tableCount: 3 }] },
  { section: "C.4", maxTableBytes: 4096, usesHuffman: true, blocks: [
    { fields: request, block: "828684418cf1e3c2e5f23a6ba0ab90f4ff", tableBytes: 57, tableCount: 1 },
    { fields: [...request, ["cache-control", "no-cache"]], block: "828684be5886a8eb10649cbf", tableBytes: 110, tableCount: 2 },
    { fields: secureRequest, block: "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", tableBytes: 164, tableCount: 3 }] },
  { section: "C.5", maxTableBytes: 256, usesHuffman: false, blocks: [
    { fields: response("302", "21"), tableBytes: 222, tableCount: 4, block:
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d" },
    { fields: response("307", "21"), block: "4803333037c1c0bf", tableBytes: 222, tableCount: 4 },
    { fields: lastResponse, tableBytes: 215, tableCount: 3, block:
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31" }] },
  { section: "C.6", maxTableBytes: 256, usesHuffman: true, blocks: [
    { fields: response("302", "21"), block: "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3", tableBytes: 222, tableCount: 4 },
    { fields: response("307", "21"), block: "4883640effc1c0bf", tableBytes: 222, tableCount: 4 },
    { fields: lastResponse, tableBytes: 215, tableCount: 3, block:
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007" }] },
];
