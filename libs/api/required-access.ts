import type { Access } from '#libs/access/scope.ts';
import { covers } from '#libs/access/scope.ts';
import { isDigest } from '#libs/oci/digest.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import type { RouteMatch } from './match-route.ts';

export const fullCatalog: Access = { type: 'registry', name: 'catalog', actions: ['*'] };
const ownCatalog: Access = { type: 'registry', name: 'catalog', actions: ['pull'] };

/** What a challenge for this request asks for; empty where any login will do. */
export function requestedAccess({ route, params }: RouteMatch): Access[] {
  if (route.needs === 'login') return [];
  if (route.needs === 'catalog') return [fullCatalog];
  const actions = route.needs.includes('push') ? ['pull', 'push'] : [...route.needs];
  return [{ type: 'repository', name: params.name, actions }];
}

/** What a request can use beyond what it needs: the right to read a mount's source. */
export function optionalAccess({ route }: RouteMatch, query: URLSearchParams): Access[] {
  const from = query.get('from');
  if (route.id !== 'startUpload' || from === null || !isRepositoryName(from)) return [];
  if (!isDigest(query.get('mount') ?? '')) return [];
  return [{ type: 'repository', name: from, actions: ['pull'] }];
}

/** Whether what a token grants is enough for this request. */
export function isAllowed({ route, params }: RouteMatch, granted: readonly Access[]): boolean {
  if (route.needs === 'login') return true;
  if (route.needs === 'catalog') return covers(granted, ownCatalog);
  return covers(granted, { type: 'repository', name: params.name, actions: [...route.needs] });
}
