import type { Problem } from "../config/problem.ts";
import { MESH_TEST_NAME, walkFolders } from "../config/source/folder-walk.ts";

/** Every `*.meshtest.yaml` below the paths, by name within each folder; a path that is a file is taken whatever its name. Never throws. */
export function findTestFiles(paths: readonly string[]): { readonly files: readonly string[]; readonly problems: readonly Problem[] } {
  const walk = walkFolders(paths, (path) => MESH_TEST_NAME.test(path));
  return { files: walk.files.map(({ path }) => path), problems: walk.unreadable.map(({ problem }) => problem) };
}
