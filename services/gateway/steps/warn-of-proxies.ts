import type { Middleware } from 'koa';
import type { Logger } from '#libs/log/logger.ts';
import type { GatewayState } from '../authenticate.ts';
import type { TrustedProxies } from '../client-address.ts';
import { comesByTls } from '../public-url.ts';

export interface WarnOfProxiesOptions {
  proxies: TrustedProxies;
  log: Logger;
  /** `http.host`, which says how clients come whatever a proxy sends. */
  publicUrl: string | undefined;
}

/** The step that says once that a proxy stands before us whose word does not count, or that does not say how clients come. */
export function warnOfProxies(options: WarnOfProxiesOptions): Middleware<GatewayState> {
  const { proxies, log, publicUrl: fixed } = options;
  let [isUnknown, isSilent] = [false, false];
  return async (ctx, next) => {
    const isForwarded = ctx.get('X-Forwarded-For') !== '';
    const { remoteAddress: peer } = ctx.req.socket;
    if (!isUnknown && isForwarded && !proxies.trusts(ctx.req)) {
      isUnknown = true;
      log.warn(
        { peer },
        'ignoring X-Forwarded-For of a proxy that is not in portcullis.gateway.trustedproxies: rules, limits and the log see the address of the proxy',
      );
    }
    const isSaid = ctx.get('X-Forwarded-Proto') !== '' || comesByTls(ctx.req);
    if (!isSilent && isForwarded && !isSaid && fixed === undefined) {
      isSilent = true;
      log.warn(
        { peer },
        'a proxy sends no X-Forwarded-Proto: clients that reach it by https are told to log in by http, in plain text; have it send that, or name the address of the registry in http.host',
      );
    }
    await next();
  };
}
