import { runBundled } from '#libs/process/run-bundled.ts';

await runBundled('core', () => import('./start.ts'));
