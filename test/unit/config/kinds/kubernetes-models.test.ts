import type { IGateway } from "@kubernetes-models/istio/networking.istio.io/v1/Gateway";
import type { IServiceEntry } from "@kubernetes-models/istio/networking.istio.io/v1/ServiceEntry";
import type { ISidecar } from "@kubernetes-models/istio/networking.istio.io/v1/Sidecar";
import type { IVirtualService } from "@kubernetes-models/istio/networking.istio.io/v1/VirtualService";
import type { IWorkloadEntry } from "@kubernetes-models/istio/networking.istio.io/v1/WorkloadEntry";
import type { IEnvoyFilter } from "@kubernetes-models/istio/networking.istio.io/v1alpha3/EnvoyFilter";
import type { IProxyConfig } from "@kubernetes-models/istio/networking.istio.io/v1beta1/ProxyConfig";
import type { IAuthorizationPolicy } from "@kubernetes-models/istio/security.istio.io/v1/AuthorizationPolicy";
import type { IPeerAuthentication } from "@kubernetes-models/istio/security.istio.io/v1/PeerAuthentication";
import type { IRequestAuthentication } from "@kubernetes-models/istio/security.istio.io/v1/RequestAuthentication";
import type { ITelemetry } from "@kubernetes-models/istio/telemetry.istio.io/v1/Telemetry";
import type { IEndpointSlice } from "kubernetes-models/discovery.k8s.io/v1/EndpointSlice";
import type { IEndpoints } from "kubernetes-models/v1/Endpoints";
import type { IPod } from "kubernetes-models/v1/Pod";
import type { IService } from "kubernetes-models/v1/Service";
import type { GenericSchema, InferInput } from "valibot";
import { describe, expectTypeOf, it } from "vitest";
import type { authorizationPolicy } from "../../../../src/config/kinds/authorization-policy.ts";
import type { envoyFilter } from "../../../../src/config/kinds/envoy-filter.ts";
import type { gateway } from "../../../../src/config/kinds/gateway.ts";
import type { endpoints, endpointSlice, pod, service } from "../../../../src/config/kinds/kubernetes.ts";
import type { peerAuthentication } from "../../../../src/config/kinds/peer-authentication.ts";
import type { proxyConfig } from "../../../../src/config/kinds/proxy-config.ts";
import type { requestAuthentication } from "../../../../src/config/kinds/request-authentication.ts";
import type { serviceEntry } from "../../../../src/config/kinds/service-entry.ts";
import type { sidecar } from "../../../../src/config/kinds/sidecar.ts";
import type { telemetry } from "../../../../src/config/kinds/telemetry.ts";
import type { virtualService } from "../../../../src/config/kinds/virtual-service.ts";
import type { workloadEntry } from "../../../../src/config/kinds/workload-entry.ts";

/*
 * What our schemas take, against the types generated from the CRDs of Istio's last release: checked by the compiler, so
 * it is `npm run typecheck` that fails here. Younger CRDs, and what is required of whom, are compared by istio-crds.test.ts.
 * So are DestinationRule and the http rules of VirtualService: their generated types are products of alternatives, millions
 * of types to the compiler, which would take minutes here.
 */

/**
 * Names of official fields that ours lack, or have with a type that does not take what is official; `never` where there
 * are none. Field by field and without paths, which keeps it cheap for the compiler.
 */
type Lacking<Official, Ours, Name = "itself"> =
  Official extends readonly (infer Item)[] ? (Ours extends readonly (infer OurItem)[] ? Lacking<Item, OurItem, Name> : Name)
  : Official extends object
    ? string extends keyof Official
      ? (Ours extends Record<string, infer OurValue> ? Lacking<Official[keyof Official], OurValue, Name> : Name)
      : { [K in keyof Official]-?: K extends keyof Ours ? Lacking<NonNullable<Official[K]>, NonNullable<Ours[K]>, K> : K }[keyof Official]
    : Official extends Ours ? never : Name;

/** What our schema lacks of an official spec. */
type LackingIn<Schema extends GenericSchema, Official extends { readonly spec?: unknown }> = Lacking<NonNullable<Official["spec"]>, InferInput<Schema>>;

describe("the types of Istio's kinds", () => {
  // `namespace` of a targetRef is any text there; all but the empty one is refused by a rule of the CRD, as it is by us.
  it("have no field that ours have not, and none of a type that ours do not take", () => {
    expectTypeOf<Lacking<Omit<NonNullable<IVirtualService["spec"]>, "http">, InferInput<typeof virtualService>>>().toBeNever();
    expectTypeOf<LackingIn<typeof serviceEntry, IServiceEntry>>().toBeNever();
    expectTypeOf<LackingIn<typeof workloadEntry, IWorkloadEntry>>().toBeNever();
    expectTypeOf<LackingIn<typeof sidecar, ISidecar>>().toBeNever();
    expectTypeOf<LackingIn<typeof gateway, IGateway>>().toBeNever();
    expectTypeOf<LackingIn<typeof envoyFilter, IEnvoyFilter>>().toEqualTypeOf<"namespace">();
    expectTypeOf<LackingIn<typeof proxyConfig, IProxyConfig>>().toBeNever();
    expectTypeOf<LackingIn<typeof authorizationPolicy, IAuthorizationPolicy>>().toEqualTypeOf<"namespace">();
    expectTypeOf<LackingIn<typeof peerAuthentication, IPeerAuthentication>>().toBeNever();
    expectTypeOf<LackingIn<typeof requestAuthentication, IRequestAuthentication>>().toEqualTypeOf<"namespace">();
    expectTypeOf<LackingIn<typeof telemetry, ITelemetry>>().toEqualTypeOf<"namespace">();
  });
});

/** The other way round: of Kubernetes' own kinds ours read a part, and that must exist. */
type Invented<Schema extends GenericSchema, Official> = Lacking<InferInput<Schema>, Official>;

describe("the types of Kubernetes' kinds", () => {
  // The fields named here are one of some words there, and any text to us: a newer Kubernetes may know more words.
  it("have every field that ours have, and take what ours take", () => {
    expectTypeOf<Invented<typeof service, NonNullable<IService["spec"]>>>().toEqualTypeOf<"type" | "internalTrafficPolicy">();
    expectTypeOf<Invented<typeof endpointSlice, IEndpointSlice>>().toEqualTypeOf<"addressType">();
    expectTypeOf<Invented<typeof endpoints, IEndpoints>>().toBeNever();
    expectTypeOf<Invented<typeof pod, IPod>>().toEqualTypeOf<"phase">();
  });
});
