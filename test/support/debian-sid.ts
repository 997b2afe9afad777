import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun, type RunOptions, type RunResult, run } from './run.ts';
import { spawn } from './spawn.ts';

/** Where packages come from: what is not in the stable release yet. */
const mirror = 'http://deb.debian.org/debian';
const packages = ['podman', 'crane', 'oras', 'cosign', 'containerd'];

/** A folder with Debian's newest clients, which see the network of this machine and one folder of it. */
export interface DebianSid {
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  mustRun(command: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Starts something that goes on until it is killed. */
  spawn(command: string, args: readonly string[]): ChildProcess;
  remove(): Promise<void>;
}

/**
 * Makes the folder; `SID_ROOT` names one that there is, for whoever works on the tests.
 * @param shared a folder of the test's, which is at the same place in there
 */
export async function makeDebianSid(shared: string): Promise<DebianSid> {
  const given = process.env.SID_ROOT;
  const root = given ?? (await mkdtemp(join(tmpdir(), 'portcullis-sid-')));
  if (given === undefined) {
    const time = { timeout: 300_000 };
    const args = ['--variant=minbase', '--include=ca-certificates', 'sid', root, mirror];
    await mustRun('debootstrap', args, time);
    // A mirror may be some days behind.
    const apt = ['chroot', root, 'apt-get', '-qq', '-o', 'Acquire::Check-Valid-Until=false'];
    await mustRun('env', [...apt, 'update'], time);
    const install = ['install', '--yes', '--no-install-recommends', ...packages];
    await mustRun('env', ['DEBIAN_FRONTEND=noninteractive', ...apt, ...install], time);
  }
  await mkdir(join(root, shared), { recursive: true });
  // In a mount namespace of its own, which takes its mounts along when it ends.
  const script = [
    'root=$1 shared=$2; shift 2',
    'mount -t proc proc "$root/proc"',
    'mount --rbind /dev "$root/dev"',
    'mount --rbind /sys "$root/sys"',
    'mount --bind /etc/hosts "$root/etc/hosts" 2>/dev/null || cp /etc/hosts "$root/etc/hosts"',
    'mount --bind "$shared" "$root$shared"',
    'exec chroot "$root" "$@"',
  ].join('\n');
  const inside = (command: string, args: readonly string[]) => [
    ...['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', root, shared],
    ...['env', `HOME=${shared}`, command, ...args],
  ];
  return {
    run: (command, args, options) => run('unshare', inside(command, args), options),
    mustRun: (command, args, options) => mustRun('unshare', inside(command, args), options),
    spawn: (command, args) => spawn('unshare', inside(command, args), { stdio: 'ignore' }),
    async remove() {
      if (given === undefined) await rm(root, { recursive: true, force: true });
    },
  };
}
