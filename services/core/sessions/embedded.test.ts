import { sessionStoreContract } from '../../../test/contract/session-store.ts';
import { createEmbeddedSessionStore } from './embedded.ts';

sessionStoreContract({
  name: 'embedded',
  skip: [
    {
      case: 'the same holder gets a new fence where storage has seen a higher one',
      reason: 'a core that is alone has no business beside another: it is told that it lost',
    },
  ],
  create: async (options) => createEmbeddedSessionStore(options),
});
