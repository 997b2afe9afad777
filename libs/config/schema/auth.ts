import { z } from 'zod';
import { flag, text, textList } from '../../values/schema.ts';

export const authSchema = z.object({
  htpasswd: z.object({ realm: text.default('Registry'), path: text }).optional(),
  token: z
    .object({
      realm: text.optional(),
      service: text.optional(),
      issuer: text.optional(),
      rootcertbundle: text.optional(),
      jwks: text.optional(),
      autoredirect: flag.optional(),
      autoredirectpath: text.optional(),
      signingalgorithms: textList.optional(),
    })
    .optional(),
  silly: z.object({ realm: text.optional(), service: text.optional() }).optional(),
  none: z.unknown().optional(),
});
