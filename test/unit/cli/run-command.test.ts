import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runCommand } from "../../../src/cli/run-command.ts";
import { VERSION } from "../../../src/cli/version.ts";

vi.mock("../../../src/cli/wait.ts", () => ({
  wait: () => Promise.reject(new Error("boom\nwith a second line")),
}));

let out = "";
let err = "";
beforeEach(() => {
  out = "";
  err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

describe("outrider", () => {
  it.each([[[]], [["help"]], [["--help"]], [["-h"]]])("lists its commands for %j", async (args) => {
    expect(await runCommand(args, {})).toBe(0);
    for (const command of ["proxy", "init", "check", "certs", "wait", "version"]) expect(out).toMatch(new RegExp(`^  ${command} `, "m"));
  });

  it("tells its version and that of Node", async () => {
    expect(await runCommand(["version"], {})).toBe(0);
    expect(out).toBe(`outrider ${VERSION} (node ${process.versions.node})\n`);
  });

  it("does not know other commands", async () => {
    expect(await runCommand(["prox"], {})).toBe(2);
    expect(err).toBe('outrider: there is no command "prox"; outrider --help lists them\n');
  });

  it("refuses to run where Node's own guards are off (D08)", async () => {
    expect(await runCommand(["proxy"], { NODE_TLS_REJECT_UNAUTHORIZED: "0" })).toBe(2);
    expect(err).toMatch(/^outrider: [^\n]*NODE_TLS_REJECT_UNAUTHORIZED[^\n]*\n$/);
  });

  it("tells of a command that throws in one line", async () => {
    expect(await runCommand(["wait"], {})).toBe(2);
    expect(err).toBe("outrider: wait: unexpected error: boom\n");
  });
});
