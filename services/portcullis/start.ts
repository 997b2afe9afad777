import { prepareArguments } from './command-line/prepare-arguments.ts';
import { createProgram } from './command-line/program.ts';
import { runProgram } from './run-program.ts';

await runProgram(await createProgram(), prepareArguments(process.argv.slice(2)));
