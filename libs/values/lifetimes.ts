const day = 24 * 60 * 60 * 1000;

/** Milliseconds that a token lives at most: what `portcullis.token.ttl` may be. */
export const longestTokenLife = day;

/** Milliseconds for which an upload may go on with a token that died of age. */
export const uploadGrace = day;
