/** The version of this program; `package.json` has the same (tested). */
export const VERSION = "0.1.0";
