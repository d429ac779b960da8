type Jose = typeof import("jose");

let loaded: Jose | null = null;

/** Loads what verifies tokens. Until a configuration has a rule for tokens nobody needs it, nor its 9 MB of memory. */
export async function loadJose(): Promise<void> {
  loaded ??= await import("jose");
}

/** @throws Error before `loadJose` was waited for */
export function jose(): Jose {
  if (loaded === null) throw new Error("tokens are to be verified, and jose has not been loaded");
  return loaded;
}
