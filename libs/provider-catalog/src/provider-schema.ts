import { z } from 'zod';

import { ProviderFile } from './provider-file.ts';

/**
 * The schema of a provider file for editors, as JSON Schema: what may stand where, with completion. Rules between members
 * are not in it; `postern providers validate` checks those, too.
 */
export function providerJsonSchema(): Record<string, unknown> {
  return { title: 'A provider of Postern’s catalog', ...z.toJSONSchema(ProviderFile, { io: 'input' }) };
}
