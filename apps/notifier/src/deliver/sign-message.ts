import { hmacSha256 } from '@postern/crypto';

import type { Message } from './messages.ts';

/**
 * The headers that prove a message to whoever knows one of the secrets.
 *
 * @param secrets each signs: while one takes over from another the receiver may know either.
 * @source Standard Webhooks, "Webhook headers", "Signature scheme"
 */
export function signMessage(
  { messageId, body }: Message,
  { secrets, nowMs }: { readonly secrets: readonly Uint8Array[]; readonly nowMs: number },
): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signatures = secrets.map((secret) => {
    return `v1,${hmacSha256(secret, `${messageId}.${timestamp}.${body}`).toString('base64')}`;
  });
  return { 'webhook-id': messageId, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
