import type { WorkloadLabels } from "../message/workload-labels.ts";
import type { HeaderList } from "../message/header-list.ts";
import {
  type OwnPeerMetadata, parsePeerMetadata, PEER_METADATA_HEADER as METADATA, PEER_METADATA_ID_HEADER as METADATA_ID,
} from "../telemetry/peer-metadata.ts";

/** Tells the peer who we are: for its metrics, never for its decisions (`spec/05` 5.9). */
export function addPeerMetadata(headers: HeaderList, own: OwnPeerMetadata): void {
  headers.appendKeyed(METADATA_ID, METADATA_ID, own.id);
  headers.appendKeyed(METADATA, METADATA, own.metadata);
}

/** Whether a message carries a peer's account of itself. */
export function hasPeerMetadata(headers: HeaderList): boolean {
  return headers.has(METADATA_ID) || headers.has(METADATA);
}

/** Reads a peer's account of itself and takes it out, so that the application never sees it; null when it says nothing. */
export function takePeerMetadata(headers: HeaderList): WorkloadLabels | null {
  const value = headers.get(METADATA);
  headers.remove(METADATA);
  headers.remove(METADATA_ID);
  return value === undefined ? null : parsePeerMetadata(value);
}
