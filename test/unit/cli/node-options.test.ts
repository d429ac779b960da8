import { describe, expect, it } from "vitest";
import { optionProblem } from "../../../src/cli/node-options.ts";

describe("optionProblem (D08)", () => {
  it.each([
    "--insecure-http-parser", "--inspect", "--inspect=0.0.0.0:9229", "--inspect-brk", "--inspect-wait=1", "--inspect-brk-node=1", "--inspect-port=1", "--debug-port=1",
    "--heapsnapshot-signal=SIGUSR2", "--heapsnapshot-near-heap-limit=1", "--tls-keylog=/tmp/keys", "--tls-keylog /tmp/keys", "--trace-tls", "--tls-min-v1.0", "--tls-min-v1.1",
    "--tls-cipher-list=ALL", "--openssl-legacy-provider", "--security-revert=CVE-2024-1", "--experimental-config-file=x", "--experimental-default-config-file",
  ])("%s is refused, however it is given", (option) => {
    const [name = ""] = option.split(/[= ]/);
    const words = option.split(" ");
    for (const problem of [
      optionProblem("", ["--single-threaded-gc", ...words]), optionProblem(`--max-old-space-size=96  ${option}`, []), optionProblem(option.replaceAll(/(?<=\w)-/g, "_"), []),
      optionProblem(option.replace(name, `"${name}"`), []), optionProblem(option.replace(name, `"${name.replace("e", String.raw`\e`)}"`), []), optionProblem(option.replace(name, `${name.slice(0, 4)}""${name.slice(4)}`), []),
    ]) expect(problem).toContain(`the Node option ${name} is refused: it `);
  });

  it.each([
    "--max-old-space-size=96", "--no-insecure-http-parser", "--no-inspect", "--permission", "--allow-fs-read=*", "--allow-worker", "--allow-addons", "--use-openssl-ca", "--use-system-ca",
    "--enable-fips", "--openssl-config=/etc/fips.cnf", "--tls-min-v1.3", "--tls-max-v1.2", "--disable-sigusr1", "--disable-proto=delete", "--secure-heap=65536", "--report-on-fatalerror",
  ])("%s passes", (option) => {
    expect(optionProblem(`--max-semi-space-size=1 ${option}`, [])).toBeNull();
    expect(optionProblem("", [option])).toBeNull();
  });

  it("a word within quotes is no option", () => expect(optionProblem('--title="a --inspect b"', [])).toBeNull());
});
