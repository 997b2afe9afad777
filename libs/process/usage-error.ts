/** The command line was not understood; the message says what to do. Exit code 2. */
export class UsageError extends Error {}
