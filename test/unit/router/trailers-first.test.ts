import { describe, expect, it } from "vitest";

import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver } from "../../../src/message/stream.ts";
import { TrailersFirst } from "../../../src/router/trailers-first.ts";

/** Notes what it is told, a word for each. */
class Notes implements ResponseReceiver {
  readonly told: string[] = [];

  informational(head: ResponseHead): void {
    this.told.push(`informational ${head.status}`);
  }

  head(head: ResponseHead, end: boolean): void {
    this.told.push(`head ${head.status} ${head.headers.get("grpc-status") ?? "-"}${end ? " end" : ""}`);
  }

  data(chunk: Buffer): void {
    this.told.push(`data ${chunk.toString()}`);
  }

  end(trailers: HeaderList | null): void {
    this.told.push(`end ${trailers?.get("grpc-status") ?? "-"}`);
  }

  drain(): void {
    this.told.push("drain");
  }

  reset(error: ProxyError): void {
    this.told.push(`reset ${error.code}`);
  }
}

const head = (status = 200): ResponseHead => new ResponseHead(status, "", HeaderList.of(["content-type", "application/grpc"]), -1);
const trailers = (status: string): HeaderList => HeaderList.of(["grpc-status", status], ["grpc-message", "why"]);

function told(tell: (receiver: TrailersFirst) => void): string[] {
  const notes = new Notes();
  tell(new TrailersFirst(notes));
  return notes.told;
}

describe("TrailersFirst", () => {
  it("an answer without messages has its status in the head", () => {
    expect(told((receiver) => {
      receiver.head(head(), false);
      receiver.end(trailers("14"));
    })).toEqual(["head 200 14 end"]);
  });

  it("the first message lets the head go, and the trailers stay trailers", () => {
    expect(told((receiver) => {
      receiver.head(head(), false);
      receiver.data(Buffer.from("a"));
      receiver.data(Buffer.from("b"));
      receiver.end(trailers("14"));
    })).toEqual(["head 200 -", "data a", "data b", "end 14"]);
  });

  it("without a status in the trailers nothing is made of them", () => {
    expect(told((receiver) => {
      receiver.head(head(), false);
      receiver.end(null);
    })).toEqual(["head 200 -", "end -"]);
  });

  it("what is not 200, or is whole already, passes at once", () => {
    expect(told((receiver) => receiver.head(head(503), false))).toEqual(["head 503 -"]);
    expect(told((receiver) => receiver.head(head(), true))).toEqual(["head 200 - end"]);
  });

  it("a cut before the first message is an answer nobody heard of", () => {
    expect(told((receiver) => {
      receiver.head(head(), false);
      receiver.reset(new ProxyError("upstream_reset"));
    })).toEqual(["reset upstream_reset"]);
  });
});
