import { readFileSync } from 'node:fs';

import { PosternError, StaticSecret } from '@postern/contracts';

/**
 * A secret that somebody made by hand, from a file or from standard input (`-`): the command line could be read by every
 * process of the machine.
 *
 * @throws {PosternError} `request.malformed`, without a word of what stands there
 */
export function staticSecretIn(file: string): StaticSecret {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  const parsed = StaticSecret.safeParse(text.startsWith('{') ? jsonOf(text) : { api_key: text });
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), reason: message }));
  const forms = 'an API key, or JSON: {"username", "password"} or {"headers": {…}}';
  throw new PosternError('request.malformed', `The file with the secret must hold ${forms}.`, { details: { fields } });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
