/** The workload beside which this proxy runs, as `outrider proxy`'s environment says. */
export interface WorkloadIdentity {
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Pod addresses. */
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** That of the certificate; null: the mesh configuration's, or `cluster.local`. */
  readonly trustDomain: string | null;
  /** Other trust domains whose roots came with the certificate; absent: none, or not known. */
  readonly federatedTrustDomains?: readonly string[];
  /** Trust domains that were ours or aliases of it while this process ran; those that are so still count as such. Absent: none. */
  readonly formerTrustDomains?: readonly string[];
  /** `region/zone/subzone`; null, absent or empty: as the configuration says. */
  readonly locality?: string | null;
  /** The node it runs on; null or absent: as the configuration says. */
  readonly nodeName?: string | null;
}
