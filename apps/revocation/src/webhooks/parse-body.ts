import { PosternError } from '@postern/contracts';

import { revocationLimits } from '../revocation-limits.ts';

const { webhookDepthMax } = revocationLimits;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The JSON of a verified body.
 *
 * Even a sender that we believe may be made to send a bomb: nesting is bounded before it is parsed.
 *
 * @throws {PosternError} `request.unsupported_media_type`, `request.malformed`
 */
export function parseBody(body: Uint8Array, contentType: string | undefined): unknown {
  const [type = ''] = (contentType ?? '').toLowerCase().split(';');
  if (!/^application\/([a-z0-9.-]+\+)?json$/.test(type.trim())) {
    throw new PosternError('request.unsupported_media_type', 'Send application/json.');
  }
  return parseJsonBody(body);
}

/** JSON in UTF-8, nested no deeper than bounds. @throws {PosternError} `request.malformed` */
export function parseJsonBody(body: Uint8Array): unknown {
  try {
    if (isTooDeep(body)) throw new SyntaxError('too deep');
    return JSON.parse(utf8.decode(body)) as unknown;
  } catch {
    throw new PosternError('request.malformed', `The body is no JSON of at most ${webhookDepthMax} levels.`);
  }
}

const [quote, backslash] = [0x22, 0x5c];
const opening: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const closing: ReadonlySet<number> = new Set([0x5d, 0x7d]);

function isTooDeep(body: Uint8Array): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at] ?? 0;
    if (inText && byte === backslash) at += 1;
    else if (byte === quote) inText = !inText;
    else if (!inText && opening.has(byte)) depth += 1;
    else if (!inText && closing.has(byte)) depth -= 1;
    if (depth > webhookDepthMax) return true;
  }
  return false;
}
