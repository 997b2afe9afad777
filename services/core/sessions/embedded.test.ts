import { notForOneCore, sessionStoreContract } from '../../../test/contract/session-store.ts';
import { createEmbeddedSessionStore } from './embedded.ts';

sessionStoreContract({
  name: 'embedded',
  skip: notForOneCore,
  create: async (options) => createEmbeddedSessionStore(options),
});
