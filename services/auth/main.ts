import { runBundled } from '#libs/process/run-bundled.ts';

await runBundled('auth', () => import('./start.ts'));
