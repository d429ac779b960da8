import { Resolver } from "node:dns/promises";

/** Asks SERVER, bypassing the C library, for the addresses of NAME of FAMILY (4 or 6), and prints them or the error's code as JSON. */
const [server = "", name = "", family = "4"] = process.argv.slice(2);
const resolver = new Resolver();
resolver.setServers([server.includes(":") ? `[${server}]` : server]);
const found = await (family === "6" ? resolver.resolve6(name) : resolver.resolve4(name)).catch((error: NodeJS.ErrnoException) => error.code);
process.stdout.write(JSON.stringify(found));
