/** A command gets its own arguments and gives the exit code. */
export type Command = (args: string[]) => Promise<number>;
