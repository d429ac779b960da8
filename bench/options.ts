import { parseArgs } from "node:util";
import type { Arrangement } from "./peer.ts";

export interface Options {
  readonly peers: readonly string[];
  readonly arrangements: readonly Arrangement[];
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly json: string | null;
  readonly baseline: string | null;
}

const PEER_NAMES = ["outrider", "outrider-http1", "haproxy", "haproxy-h2", "envoy", "envoy-h2"];

export const USAGE = `Usage: npm run bench -- [options]
       npm run bench -- config
       npm run bench -- authz

Measures CPU time per request and hop, memory and added latency of Outrider beside HAProxy and Envoy, in one run, on loopback.
With "config": what a configuration of 1000 services costs, from YAML to lookups.
With "authz": what a decision of authorization costs, with up to 10 000 rules.

  --peers LIST          outrider,outrider-http1,haproxy,haproxy-h2,envoy,envoy-h2; the hop of a pair is multiplexed for the first,
                        HTTP/2 for those that end so, HTTP/1.1 for all others
  --arrangements LIST   plain,pair; and ext-authz, where an external authorizer is asked about each request
  --connections LIST    1,8,32,64
  --rounds N            3; the peers alternate in each
  --seconds N           3, each measurement
  --warm-up N           5, seconds with the most and as many with the fewest connections before the first measurement
  --json FILE           write all figures
  --baseline FILE       compare with figures written earlier
`;

/** Bounds, so that a slip of the finger does not load the machine for a day. */
const MOST = { rounds: 50, seconds: 300, connections: 1000 };

/** Reads the command line; null when help was asked for. @throws Error in one line for what it does not understand. */
export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peers: { type: "string", default: PEER_NAMES.join(",") },
      arrangements: { type: "string", default: "plain,pair" },
      connections: { type: "string", default: "1,8,32,64" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string", default: "5" },
      json: { type: "string" },
      baseline: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  return {
    peers: words(values.peers, PEER_NAMES),
    arrangements: words(values.arrangements, ["plain", "pair", "ext-authz"]) as Arrangement[],
    connections: values.connections.split(",").map((text) => whole("connections", text, MOST.connections)),
    rounds: whole("rounds", values.rounds, MOST.rounds),
    seconds: whole("seconds", values.seconds, MOST.seconds),
    warmUpSeconds: whole("warm-up", values["warm-up"], MOST.seconds),
    json: values.json ?? null,
    baseline: values.baseline ?? null,
  };
}

function words(text: string, known: readonly string[]): string[] {
  const list = text.split(",");
  const unknown = list.find((word) => !known.includes(word));
  if (unknown !== undefined) throw new Error(`${JSON.stringify(unknown)} is none of ${known.join(", ")}`);
  return list;
}

function whole(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name}: ${JSON.stringify(text)} is not a whole number from 1 to ${most}`);
  return value;
}
