import type { Snapshot } from "../config/snapshot.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { HealthChecks, HealthChecksParts } from "./health-checks.ts";

/** Active health checks, loaded when a configuration first asks for them: most pods do without, and without their memory. */
export class HealthControl {
  readonly #parts: HealthChecksParts;
  #checks: HealthChecks | null = null;
  #isLoading = false;
  #isStopped = false;
  #snapshot: Snapshot | null = null;
  #material: IdentityMaterial | null = null;

  constructor(parts: HealthChecksParts) {
    this.#parts = parts;
  }

  /** Checks what `snapshot` asks for. */
  apply(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    if (this.#checks !== null) this.#checks.apply(snapshot);
    else if (!this.#isLoading && snapshot.clusters.some(({ healthCheck }) => healthCheck !== undefined)) void this.#load();
  }

  applyIdentity(material: IdentityMaterial): void {
    this.#material = material;
    this.#checks?.applyIdentity(material);
  }

  stop(): void {
    this.#isStopped = true;
    this.#checks?.stop();
  }

  async #load(): Promise<void> {
    this.#isLoading = true;
    const { HealthChecks } = await import("./health-checks.ts");
    if (this.#isStopped) return;
    this.#checks = new HealthChecks(this.#parts);
    if (this.#material !== null) this.#checks.applyIdentity(this.#material);
    if (this.#snapshot !== null) this.#checks.apply(this.#snapshot);
  }
}
