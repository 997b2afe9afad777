import { runBundled } from '#libs/process/run-bundled.ts';

await runBundled('gateway', () => import('./start.ts'));
