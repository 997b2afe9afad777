import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/**
 * A password from the person at the terminal, asked twice and not shown; or, where standard input is
 * no terminal, its first line. Never from an argument: other users could read it.
 */
export async function readPassword(): Promise<string> {
  if (!process.stdin.isTTY) return await firstLine();
  const password = await ask('Password: ');
  if ((await ask('Again: ')) !== password) throw new Error('the two passwords differ');
  return password;
}

/** Bytes after which a line is longer than any password. */
const longestLine = 64 * 1024;

async function firstLine(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    text += chunk as string;
    if (text.includes('\n') || text.length > longestLine) break;
  }
  return text.split(/\r?\n/, 1)[0] ?? '';
}

async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  // Echoes nothing of what is typed.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once('line', resolve);
      terminal.once('SIGINT', () => reject(new Error('cancelled')));
      terminal.once('close', () => reject(new Error('cancelled')));
    });
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
