import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { parseDuration } from '#libs/values/duration.ts';

/** For an option that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** Milliseconds: nobody means more than a hundred years. */
const longest = 100 * 365 * 24 * 60 * 60 * 1000;

/** @returns milliseconds. @throws InvalidArgumentError */
export function duration(text: string): number {
  const parsed = parseDuration(text);
  if (parsed !== undefined && parsed > longest) {
    throw new InvalidArgumentError('It is more than a hundred years.');
  }
  if (parsed === undefined)
    throw new InvalidArgumentError('It is not a duration such as 10s, 5m or 1h30m.');
  return parsed;
}

/** @returns undefined where it is empty, as a variable of a script may be. @throws InvalidArgumentError */
export function port(text: string): number | undefined {
  if (text === '') return undefined;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number > 0 && number <= 65_535) return number;
  throw new InvalidArgumentError('It is not a port: use a whole number from 1 to 65535.');
}

/** A path; an empty one, as of a variable that is not set, would mean the folder one happens to be in. */
export function path(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is empty; name a path.');
  return text;
}

export const configOption = () =>
  new Option('--config <file>', 'the configuration of the registry that this is about').argParser(
    path,
  );

export const stateOption = () =>
  new Option(
    '--state <folder>',
    "auth's state folder itself, instead of a configuration that names it",
  ).argParser(path);

export const jsonOption = () => new Option('--json', 'print the result as JSON');
