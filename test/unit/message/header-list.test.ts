import { describe, expect, it } from "vitest";

import { HeaderList } from "../../../src/message/header-list.ts";

const sample = (): HeaderList => HeaderList.of(["X-A", "1"], ["Accept", "*/*"], ["x-a", "2"], ["X-B", "3"]);

describe("HeaderList", () => {
  it("keeps spelling and order, and finds by lower-case name", () => {
    const list = sample();
    expect(list.toPairs()).toEqual([["X-A", "1"], ["Accept", "*/*"], ["x-a", "2"], ["X-B", "3"]]);
    expect(list.get("x-a")).toBe("1");
    expect(list.all("x-a")).toEqual(["1", "2"]);
    expect(list.joined("x-a")).toBe("1,2");
    expect(list.joined("accept")).toBe("*/*");
    expect(list.count("x-a")).toBe(2);
    expect(list.get("X-A")).toBeUndefined();
    expect(list.joined("x-c")).toBeUndefined();
  });

  it("set replaces all fields of a name by one, at the place of the first", () => {
    const list = sample();
    list.set("X-a", "9");
    expect(list.toPairs()).toEqual([["X-A", "9"], ["Accept", "*/*"], ["X-B", "3"]]);
    list.set("New", "n");
    expect(list.toPairs().at(-1)).toEqual(["New", "n"]);
  });

  it("remove takes every field of a name and leaves the rest in order", () => {
    const list = sample();
    list.remove("x-a");
    list.remove("absent");
    expect(list.toPairs()).toEqual([["Accept", "*/*"], ["X-B", "3"]]);
    expect(list.length).toBe(2);
  });

  it("a clone is independent", () => {
    const list = sample();
    const copy = list.clone();
    copy.remove("x-a");
    expect(list.count("x-a")).toBe(2);
  });

  it("names that mean something to objects mean nothing here (A29)", () => {
    const list = HeaderList.of(["__proto__", "x"], ["constructor", "y"], ["hasOwnProperty", "z"]);
    expect(list.get("__proto__")).toBe("x");
    expect(list.get("tostring")).toBeUndefined();
  });
});

describe("appendAll", () => {
  it("adds the fields of another list, and what is known of them", () => {
    const other = new HeaderList();
    other.append("X-New", "value");
    other.markSensitive("x-new");
    const list = sample();
    list.unvetted = null;
    list.appendAll(other);
    expect(list.toPairs().at(-1)).toEqual(["X-New", "value"]);
    expect(list.unvetted).toEqual(["X-New", "value"]);
    expect(list.sensitive).toEqual(["x-new"]);
  });
});
