import { sessionStoreContract } from '../../../test/contract/session-store.ts';
import { createEmbeddedSessionStore } from './embedded.ts';

sessionStoreContract({
  name: 'embedded',
  create: async (options) => createEmbeddedSessionStore(options),
});
