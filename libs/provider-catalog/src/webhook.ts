import type { SignalMeaning } from '@postern/contracts';

import { itemsAt, textAt } from './member-path.ts';
import type { AccountNameFile, WebhookFile } from './webhook-file.ts';

/** A provider's webhook as code sees it. */
export interface ProviderWebhook {
  readonly scheme: WebhookFile['signature']['value']['scheme'];
  readonly sentAt: Instant | null;
  readonly deliveryIdMember: string | null;
  readonly handshake: { readonly when: Readonly<Record<string, string>>; readonly answerMember: string } | null;
  readonly secretMembers: readonly string[];
  readonly events: readonly WebhookEvent[];
}

export interface WebhookEvent {
  readonly type: string;
  readonly when: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly means: SignalMeaning;
  readonly names: readonly AccountName[];
  readonly occurredAt: Instant | null;
}

interface Instant {
  readonly member: string;
  readonly unit: 's' | 'ms';
}

/** Names an account by what stands at these places of a document. */
export interface AccountName {
  readonly key: string;
  readonly members: readonly string[];
  readonly unless: string | null;
}

/** An account by one of the keys under which it can be found: `team_bot`, `['T1', 'U1']`. */
export interface NamedAccount {
  readonly key: string;
  readonly values: readonly string[];
}

/** What a verified delivery is. */
export type ReadDelivery =
  | { readonly kind: 'handshake'; readonly answer: string }
  | { readonly kind: 'event'; readonly event: WebhookEvent; readonly deliveryId: string | null }
  | { readonly kind: 'other' };

/** More accounts than this in one delivery are a mistake or an attack. */
export const namedAccountsMax = 1_000;

/** @internal */
export function webhookFrom({ signature, delivery_id, handshake, secrets, events }: WebhookFile): ProviderWebhook {
  return {
    scheme: signature.value.scheme,
    sentAt: signature.value.sent_at ?? null,
    deliveryIdMember: delivery_id?.value ?? null,
    handshake: handshake === undefined ? null : { when: handshake.value.when, answerMember: handshake.value.answer },
    secretMembers: secrets?.value ?? [],
    events: events.map(({ value }) => ({
      type: value.type,
      when: value.when,
      headers: value.headers,
      means: value.means,
      names: value.names.map(accountNameFrom),
      occurredAt: value.occurred_at ?? null,
    })),
  };
}

/** @internal */
export function accountNameFrom({ key, members, unless }: AccountNameFile): AccountName {
  return { key, members, unless: unless ?? null };
}

/** What a delivery is by its body and headers; nothing here was verified by this. */
export function readDelivery(
  { handshake, events, deliveryIdMember }: ProviderWebhook,
  { body, headers }: { body: unknown; headers: Readonly<Record<string, string | undefined>> },
): ReadDelivery {
  const stands = (when: Readonly<Record<string, string>>) =>
    Object.entries(when).every(([member, word]) => textAt(body, member) === word);
  if (handshake !== null && stands(handshake.when)) {
    const answer = textAt(body, handshake.answerMember);
    return answer === undefined ? { kind: 'other' } : { kind: 'handshake', answer };
  }
  const event = events.find(
    (row) => stands(row.when) && Object.entries(row.headers).every(([name, word]) => headers[name] === word),
  );
  if (event === undefined) return { kind: 'other' };
  const deliveryId = deliveryIdMember === null ? undefined : textAt(body, deliveryIdMember);
  return { kind: 'event', event, deliveryId: deliveryId ?? null };
}

/**
 * Every account that a document names, under every key whose places are all filled.
 *
 * Of a token endpoint's answer: who authorized. Of a signal: about whom it speaks.
 */
export function namedAccounts(names: readonly AccountName[], document: unknown): NamedAccount[] {
  const accounts = names
    .filter(({ unless }) => unless === null || textAt(document, unless) === undefined)
    .flatMap(({ key, members }) => combined(members, document).map((values) => ({ key, values })));
  return accounts.slice(0, namedAccountsMax);
}

/** One list of values for each way to take one text from every place; none when a place is empty. */
function combined(members: readonly string[], document: unknown): string[][] {
  let lists: string[][] = [[]];
  for (const member of members) {
    const items = itemsAt(document, member);
    lists = lists.flatMap((list) => items.map((item) => [...list, item])).slice(0, namedAccountsMax);
  }
  return lists;
}

/** The time at a place of a document; null where there is none that could be one. */
export function instantAt(instant: Instant | null, document: unknown): number | null {
  const text = instant === null ? undefined : textAt(document, instant.member);
  if (instant === null || text === undefined || !/^\d{1,15}(\.\d{1,6})?$/.test(text)) return null;
  return Math.floor(Number(text) * (instant.unit === 's' ? 1000 : 1));
}
