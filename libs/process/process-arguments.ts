import { parseArgs } from 'node:util';

/** What a process of ours is told by its command line: `[CONFIG] [--worker NUMBER] [--sockets FOLDER] [--supervised]`. */
export interface ProcessArguments {
  /** The configuration file; undefined where none was named. */
  config: string | undefined;
  /** Its number among those of its service, from 1. */
  worker: number;
  /** The folder of the sockets, where a supervisor told it. */
  sockets: string | undefined;
  /** Whether a supervisor of ours started it, and listens. */
  isSupervised: boolean;
}

/** @throws Error with one sentence if they cannot be understood */
export function parseProcessArguments(words: readonly string[]): ProcessArguments {
  const { values, positionals } = parse(words);
  if (!/^[1-9]\d{0,4}$/.test(values.worker) || positionals.length > 1) throw new Error(form);
  return {
    config: positionals[0] || undefined,
    worker: Number(values.worker),
    sockets: values.sockets,
    isSupervised: values.supervised,
  };
}

const form =
  'the arguments are [CONFIG] [--worker NUMBER] [--sockets FOLDER]; --supervised is for the supervisor';

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        worker: { type: 'string', default: '1' },
        sockets: { type: 'string' },
        supervised: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new Error(form, { cause: error });
  }
}

/** The words that {@link parseProcessArguments} reads. */
export function formatProcessArguments({
  config,
  worker,
  sockets,
  isSupervised,
}: ProcessArguments): string[] {
  return [
    ...(config === undefined ? [] : [config]),
    ...(worker === 1 ? [] : ['--worker', `${worker}`]),
    ...(sockets === undefined ? [] : ['--sockets', sockets]),
    ...(isSupervised ? ['--supervised'] : []),
  ];
}
