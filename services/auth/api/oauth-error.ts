import type { ParameterizedContext } from 'koa';
import type { RequestState } from '#libs/http/app.ts';

/** A request to the token endpoint that cannot be granted (RFC 6749 section 5.2). */
export class OAuthError extends Error {
  readonly code: 'invalid_request' | 'unsupported_grant_type';

  /** @param description for the person at the client: `username and password are needed` */
  constructor(code: OAuthError['code'], description: string) {
    super(description);
    this.code = code;
  }
}

/** Answers with 400 and the error's code, as RFC 6749 section 5.2 has it. */
export function answerOAuthError(
  ctx: ParameterizedContext<RequestState>,
  { code, message }: OAuthError,
): void {
  ctx.status = 400;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { error: code, error_description: message };
}
