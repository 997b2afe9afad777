import { UsageError } from '#libs/process/usage-error.ts';
import { type AnyCommand, examplesFor, fullName } from './command-tree.ts';
import { aboutConfiguration, exitCodes } from './help-texts.ts';

/** One command as the manual shows it. */
interface Page {
  name: string;
  usage: string;
  description: string;
  parts: readonly (readonly [term: string, meaning: string])[];
  examples: readonly string[];
}

/** Prints the manual of all commands. @param format `man` or `markdown` @returns the exit code */
export function printManual(program: AnyCommand, format: string): number {
  if (format !== 'man' && format !== 'markdown') {
    throw new UsageError(`--format: "${format}" is not a format; use man or markdown`);
  }
  process.stdout.write(format === 'man' ? manualPage(program) : markdownManual(program));
  return 0;
}

/** As `docs/commands.md` has it. */
export function markdownManual(program: AnyCommand): string {
  const sections = pagesOf(program).map(({ name, usage, description, parts, examples }) => {
    const rows = parts.map(
      ([term, meaning]) => `| \`${escapeCell(term)}\` | ${escapeCell(meaning)} |`,
    );
    const table = rows.length === 0 ? [] : ['| | |', '| --- | --- |', ...rows, ''];
    const shell = examples.length === 0 ? [] : ['```sh', ...examples, '```', ''];
    return [`## ${name}`, '', '```', usage, '```', '', description, '', ...table, ...shell].join(
      '\n',
    );
  });
  const codes = exitCodes.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [
    '# Commands',
    '',
    'Made from the commands themselves by `portcullis manual --format markdown`; `portcullis manual | man -l -` shows the same as a manual page, and',
    '`portcullis completion bash`, `zsh` or `fish` prints a script that completes them.',
    '',
    aboutConfiguration,
    '',
    '| Exit code | |',
    '| --- | --- |',
    ...codes,
    '',
    ...sections,
  ].join('\n');
}

/** In roff, for man(1). */
function manualPage(program: AnyCommand): string {
  const lines = ['.TH PORTCULLIS 1', '.SH NAME', 'portcullis \\- a private container registry'];
  lines.push('.SH SYNOPSIS', '.B portcullis', escapeRoff('COMMAND [ARGUMENTS]'));
  lines.push('.SH DESCRIPTION', escapeRoff(aboutConfiguration), '.SH COMMANDS');
  for (const { usage, description, parts, examples } of pagesOf(program)) {
    lines.push(`.SS ${escapeRoff(usage)}`, escapeRoff(description));
    for (const [term, meaning] of parts)
      lines.push('.TP', `.B ${escapeRoff(term)}`, escapeRoff(meaning));
    for (const example of examples) lines.push('.PP', '.EX', escapeRoff(example), '.EE');
  }
  lines.push('.SH EXIT STATUS');
  for (const [code, meaning] of exitCodes) lines.push('.TP', `.B ${code}`, escapeRoff(meaning));
  return `${lines.join('\n')}\n`;
}

function pagesOf(program: AnyCommand): Page[] {
  const help = program.createHelp();
  const visit = (command: AnyCommand): Page[] => {
    const below = help.visibleCommands(command) as AnyCommand[];
    const groups = below.filter((one) => one.name() !== 'help');
    if (groups.length > 0) return groups.flatMap(visit);
    const parts = [
      ...help
        .visibleArguments(command)
        .map((one) => [help.argumentTerm(one), help.argumentDescription(one)] as const),
      ...help
        .visibleOptions(command)
        .filter((one) => one.long !== '--help')
        .map((one) => [help.optionTerm(one), help.optionDescription(one)] as const),
    ];
    return [
      {
        name: fullName(command).replace(/^portcullis /, ''),
        usage: `${fullName(command)} ${command.usage()}`,
        description: command.description(),
        parts,
        examples: examplesFor(command),
      },
    ];
  };
  return visit(program);
}

function escapeCell(text: string): string {
  return text.replace(/\|/g, '\\|');
}

/** A line that begins with a dot or a quote would be a request. */
function escapeRoff(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
