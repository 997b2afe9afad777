import { locksContract } from '../../../test/contract/locks.ts';
import { createEmbeddedLocks } from './embedded-locks.ts';

locksContract({ name: 'embedded locks', create: async () => createEmbeddedLocks() });
