import { z } from 'zod';
import { flag, text, textList } from '../../values/schema.ts';

export const authSchema = z.object({
  htpasswd: z
    .object({
      realm: text
        .default('Registry')
        .describe('What a client that asks for Basic authentication is told.'),
      path: text.describe('htpasswd file with bcrypt hashes; changes are taken without a restart.'),
    })
    .optional(),
  token: z
    .object({
      realm: text.optional().describe('Address of the token server, as clients reach it.'),
      service: text.optional().describe('Audience that a token must have.'),
      issuer: text.optional().describe('Issuer that a token must have.'),
      rootcertbundle: text
        .optional()
        .describe('File of certificates and public keys (PEM) that sign tokens.'),
      jwks: text
        .optional()
        .describe('File or URL of a JWK Set (RFC 7517) with the keys that sign tokens.'),
      autoredirect: flag
        .optional()
        .describe('Whether clients get tokens at this host, on autoredirectpath.'),
      autoredirectpath: text.optional().describe('Path of the token server at this host.'),
      signingalgorithms: textList
        .optional()
        .describe('Signature algorithms that count; without it all that use a public key.'),
    })
    .optional(),
  silly: z.object({ realm: text.optional(), service: text.optional() }).optional(),
  none: z
    .unknown()
    .optional()
    .describe('Says that there is no authentication, as leaving auth out does.'),
});
