import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";

/** Configuration and certificates of a mesh of test pods, in a temporary folder. */
export class MeshFiles {
  readonly folder = mkdtempSync(join(tmpdir(), "outrider-mesh-"));
  readonly ca = DevelopmentCa.create("cluster.local", systemClock);

  constructor() {
    // The proxy runs as another user.
    chmodSync(this.folder, 0o755);
    mkdirSync(this.config);
  }

  get config(): string {
    return join(this.folder, "config");
  }

  /** Writes a configuration file. */
  write(name: string, text: string): void {
    writeFileSync(join(this.config, name), text);
  }

  /** Makes a certificate folder for a service account of namespace `default` and gives its path. */
  certificates(serviceAccount: string): string {
    const folder = join(this.folder, serviceAccount);
    mkdirSync(folder);
    const issued = this.ca.issue(`spiffe://cluster.local/ns/default/sa/${serviceAccount}`);
    writeFileSync(join(folder, "cert-chain.pem"), issued.certificateChainPem);
    writeFileSync(join(folder, "key.pem"), issued.privateKeyPem);
    writeFileSync(join(folder, "root-cert.pem"), issued.rootPem);
    return folder;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
