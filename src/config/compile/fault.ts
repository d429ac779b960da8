import { GRPC_STATUSES } from "../kinds/grpc-status-name.ts";
import { httpStatusOf } from "../../message/grpc-status.ts";
import type { HttpRule } from "../kinds/virtual-service.ts";
import type { RouteSpec } from "../snapshot.ts";
import type { FaultSpec } from "../snapshot-route.ts";

const PER_PERCENT = 10_000;

/** The faults of a rule (spec/03 3.8); nothing where none of them can ever happen. */
export function faultOf({ fault }: HttpRule): Pick<RouteSpec, "fault"> {
  if (fault === undefined) return {};
  const delay = delayOf(fault.delay);
  const abort = abortOf(fault.abort);
  return delay === null && abort === null ? {} : { fault: { delay, abort } };
}

type Fault = NonNullable<HttpRule["fault"]>;

/** A percentage that is not written is the older whole one; neither is 0 %. */
function delayOf(delay: Fault["delay"]): FaultSpec["delay"] {
  if (delay?.fixedDelay === undefined) return null;
  const perMillion = Math.round((delay.percentage?.value ?? delay.percent ?? 0) * PER_PERCENT);
  return perMillion === 0 ? null : { durationMs: delay.fixedDelay, perMillion };
}

/** What is not gRPC hears of a gRPC status as the HTTP status it stands for. */
function abortOf(abort: Fault["abort"]): FaultSpec["abort"] {
  const perMillion = Math.round((abort?.percentage?.value ?? 0) * PER_PERCENT);
  if (abort === undefined || perMillion === 0) return null;
  if (abort.httpStatus !== undefined) return { httpStatus: abort.httpStatus, grpcStatus: null, perMillion };
  if (abort.grpcStatus === undefined) return null;
  const grpcStatus = GRPC_STATUSES.indexOf(abort.grpcStatus);
  return { httpStatus: httpStatusOf(grpcStatus), grpcStatus, perMillion };
}
