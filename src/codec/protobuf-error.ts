/** Bytes that are not the protobuf message they should be. Whoever decodes catches it: the bytes came from a peer. */
export class ProtobufError extends Error {}
