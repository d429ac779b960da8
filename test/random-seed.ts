import fc from "fast-check";

/*
 * Property tests draw the same cases in every run, so that a change is judged by what it changed. To look for new ones:
 * OUTRIDER_TEST_SEED=random, or any number.
 */
const asked = process.env["OUTRIDER_TEST_SEED"] ?? "";
if (asked !== "random") fc.configureGlobal({ seed: asked === "" ? 20_261_120 : Number(asked) });
