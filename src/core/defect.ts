/**
 * Told of an exception that nobody expected: a defect of ours, which costs one connection at most (promise P5).
 * `where` is one of a fixed set of names, for a metric; `cause` goes to the log.
 */
export type DefectObserver = (where: string, cause: unknown) => void;
