/**
 * How the value of a field is written (protobuf's "Encoding", wire types). The two of groups, 3 and 4, went out of use
 * before anybody we talk to began; they are refused.
 */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_DELIMITED = 2;
export const WIRE_FIXED32 = 5;
