import { createHmac } from 'node:crypto';

import { toBytes } from './bytes.ts';
import { constantTimeEqual } from './hash.ts';
import { schemeOf, type ClaimedSignature, type WebhookDelivery, type WebhookScheme } from './webhook-schemes.ts';

export interface WebhookVerification<S extends WebhookSecret> {
  readonly scheme: WebhookScheme;
  readonly delivery: WebhookDelivery;
  /** Those in use: a delivery may be signed with any of them. */
  readonly secrets: readonly S[];
  readonly nowMs: number;
  /** How far the time that was signed may be from now, before or after; where the scheme signs one. */
  readonly ageMsMax: number;
}

/** A secret as it came from the vault. */
export interface WebhookSecret {
  readonly secret: Uint8Array;
}

export interface VerifiedWebhook<S extends WebhookSecret> {
  /** The secret with which it was signed. */
  readonly by: S;
  /** When it was sent, if the sender signs that. It is not when the thing happened. */
  readonly sentAtMs: number | null;
}

/** Who is not known has a secret too, so that as much is computed for an unknown registration as for a known one. */
const nobodys: WebhookSecret = { secret: Buffer.alloc(32) };

/**
 * Verifies a webhook's signature on its raw body.
 *
 * Every signature is compared with every secret, in constant time and to the end: how long it takes tells neither which
 * one fitted nor that there was none to compare with.
 *
 * @returns undefined when it is not verified, whatever the reason: nobody outside is told which.
 */
export function verifyWebhook<S extends WebhookSecret>(input: WebhookVerification<S>): VerifiedWebhook<S> | undefined {
  const { scheme, delivery, secrets, nowMs, ageMsMax } = input;
  const claimed = schemeOf(scheme).claimed(delivery) ?? { signatures: [''], signed: [delivery.body], sentAtMs: null };
  let by: S | undefined;
  for (const known of secrets) if (fits(scheme, claimed, known)) by = known;
  if (secrets.length === 0) fits(scheme, claimed, nobodys);
  const { sentAtMs } = claimed;
  if (by === undefined || (sentAtMs !== null && Math.abs(nowMs - sentAtMs) > ageMsMax)) return undefined;
  return { by, sentAtMs };
}

function fits(scheme: WebhookScheme, { signatures, signed }: ClaimedSignature, { secret }: WebhookSecret): boolean {
  const { hash, encoding, keyOf } = schemeOf(scheme);
  const bytes = toBytes(secret);
  const hmac = createHmac(hash, keyOf === undefined ? bytes : keyOf(bytes));
  for (const part of signed) hmac.update(toBytes(part));
  const expected = hmac.digest(encoding);
  let found = false;
  // As text: decoders skip what does not belong there, so that many texts would pass for one signature.
  for (const text of signatures) found = constantTimeEqual(expected, Buffer.from(text, 'utf8')) || found;
  return found;
}
