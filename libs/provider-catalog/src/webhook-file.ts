import { SignalMeaning } from '@postern/contracts';
import { z } from 'zod';

import { factOf } from './fact.ts';

/** A place in a JSON document: member names joined by dots, `[]` behind one that holds a list of texts. */
export const MemberPath = z
  .string()
  .max(128)
  .regex(/^[A-Za-z_][A-Za-z0-9_-]*(\[\])?(\.[A-Za-z_][A-Za-z0-9_-]*(\[\])?)*$/, 'must be member names joined by dots');

export const KeyName = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be snake_case');

const Instant = z.strictObject({ member: MemberPath, unit: z.enum(['s', 'ms']) });

/** Names an account by what stands at these places, all of them together. */
const AccountName = z.strictObject({
  key: KeyName,
  members: z.array(MemberPath).min(1).max(4),
  /** Not where something stands here: an installation for a whole organization is not one for each of its teams. */
  unless: MemberPath.optional(),
});

/** By what an account is found again when a signal names it: of the token endpoint's answer, `id_token` being its claims. */
export const AccountKeys = z.array(AccountName).min(1).max(4);

/** A call of the provider's API that says whose token it is, where the token endpoint does not. */
export const AccountProbe = z.strictObject({
  url: z
    .url({ protocol: /^https$/ })
    .max(2048)
    .regex(/^[^?#{}]+$/, 'must have no query, fragment or parameter'),
  names: AccountKeys,
});

const Words = z.record(z.string().max(64), z.string().min(1).max(128));

const WebhookEvent = z.strictObject({
  /** The provider's own name of what happened; one row each. */
  type: z.string().min(1).max(128),
  /** What must stand in the body, by place; and in the headers, which no provider signs. */
  when: z.record(MemberPath, z.string().min(1).max(128)).default({}),
  headers: Words.default({}),
  means: SignalMeaning,
  names: z.array(AccountName).max(4).default([]),
  /** When it happened, where the sender signs that. Without it a signal is no proof: it may be an old one again. */
  occurred_at: Instant.optional(),
});

/** How a provider tells us of ends. */
export const WebhookFile = z.strictObject({
  signature: factOf(
    z.strictObject({
      scheme: z.enum([
        'slack_v0',
        'github_sha256',
        'stripe_v1',
        'standard_webhooks',
        'hubspot_v3',
        'linear_sha256',
        'intercom_sha1',
        'xero_sha256',
      ]),
      /** When it was sent, where that stands in the body and not in the scheme's own header. */
      sent_at: Instant.optional(),
    }),
  ),
  /** Where the sender's id of the event stands, if it is signed; a digest of the body is taken otherwise. */
  delivery_id: factOf(MemberPath).optional(),
  /** A question that only asks whether we are there, and where the words stand with which it is answered. */
  handshake: factOf(z.strictObject({ when: z.record(MemberPath, z.string().min(1)), answer: MemberPath })).optional(),
  /** Members of the body that are secrets: never stored. */
  secrets: factOf(z.array(MemberPath).max(8)).optional(),
  /** What is told and what it means; everything else is answered and forgotten. */
  events: z.array(factOf(WebhookEvent)).max(32).default([]),
});
export type WebhookFile = z.infer<typeof WebhookFile>;
export type AccountNameFile = z.infer<typeof AccountName>;
