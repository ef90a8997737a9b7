import { limits, type AdminEvent } from '@postern/contracts';

import {
  adminEvent,
  adminEvolve,
  alike,
  createOnce,
  requireBegun,
  requireEnabled,
  type AdminDataOf,
  type AdminState,
} from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** A signing secret that the vault holds; here stands all that anybody else may know of it. */
export interface WebhookSecret {
  readonly version: number;
  readonly storedAtMs: number;
  /** Null while nothing ends it. */
  readonly endsAtMs: number | null;
}

/** Where a tenant hears of its connections. Its secrets are with the vault. */
export interface Webhook extends AdminState, AdminDataOf<'WebhookCreated'> {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly webhookId: string;
  readonly createdAtMs: number;
  /** Newest first. */
  readonly secrets: readonly WebhookSecret[];
  readonly disabled: boolean;
  /** It said itself that it is gone. */
  readonly gone: boolean;
}

export type WebhookEvent = Extract<
  AdminEvent,
  { type: 'WebhookCreated' | 'WebhookSecretStored' | 'WebhookDisabled' | 'WebhookGone' }
>;

const noWebhook: Webhook = Object.freeze({
  exists: false,
  tenantId: '',
  webhookId: '',
  name: '',
  url: '',
  types: [],
  createdAtMs: 0,
  secrets: [],
  disabled: false,
  gone: false,
});

/** The secrets with which a delivery is signed now, the newest first: two while one takes over. */
export function webhookSecretsInUse({ secrets }: Pick<Webhook, 'secrets'>, nowMs: number): WebhookSecret[] {
  return secrets.filter(({ endsAtMs }) => endsAtMs === null || endsAtMs > nowMs);
}

/** Does the webhook ask for this type? */
export function hears({ types, disabled }: Pick<Webhook, 'types' | 'disabled'>, type: string): boolean {
  return !disabled && (types.length === 0 || types.some((one) => one === type));
}

function withSecret(
  state: Webhook,
  { secretVersion, previousEndsAtMs }: AdminDataOf<'WebhookSecretStored'>,
  atMs: number,
): WebhookSecret[] {
  const previous = webhookSecretsInUse(state, atMs).map((one) => ({
    ...one,
    endsAtMs: Math.min(one.endsAtMs ?? previousEndsAtMs, previousEndsAtMs),
  }));
  const secrets = [{ version: secretVersion, storedAtMs: atMs, endsAtMs: null }, ...previous];
  return webhookSecretsInUse({ secrets }, atMs).slice(0, limits.secretsInUseMax);
}

/** The fold of a webhook's events. */
export const webhookEvolver: Evolver<Webhook, WebhookEvent> = Object.freeze({
  kind: 'webhook',
  stateVersion: 1,
  initialState: noWebhook,
  evolve: adminEvolve<Webhook, WebhookEvent['type']>('WebhookCreated', {
    WebhookCreated: (state, { name, url, types }, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      webhookId: aggregateId,
      name,
      url,
      types,
      createdAtMs: atMs,
    }),
    WebhookSecretStored: (state, data, { atMs }) =>
      data.secretVersion <= (state.secrets[0]?.version ?? 0)
        ? state
        : { ...state, secrets: withSecret(state, data, atMs) },
    WebhookDisabled: (state) => ({ ...state, disabled: true }),
    WebhookGone: (state) => ({ ...state, disabled: true, gone: true }),
  }),
});

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `webhook.exists` in other words
 */
export function createWebhook({ name, url, types }: AdminDataOf<'WebhookCreated'>, state: Webhook): WebhookEvent[] {
  const same = state.name === name && state.url === url && alike(state.types, types);
  return createOnce('webhook', state, { same, event: adminEvent('WebhookCreated', { name, url, types }) });
}

/** A secret of which the vault has a new version. */
export interface StoreWebhookSecret {
  readonly secretVersion: number;
  /** How long deliveries are signed with the one before it too; 0 when others know it. */
  readonly overlapMs: number;
  readonly nowMs: number;
}

/**
 * Puts a secret that the vault holds into use.
 *
 * Deliveries carry both signatures for a while: the receiver never changes over in the same instant as we do.
 *
 * @returns no events when this version or a newer one is known.
 * @throws {PosternError} `webhook.not_found`, `webhook.disabled`
 */
export function storeWebhookSecret(
  { secretVersion, overlapMs, nowMs }: StoreWebhookSecret,
  state: Webhook,
): WebhookEvent[] {
  requireEnabled('webhook', state);
  if (secretVersion <= (state.secrets[0]?.version ?? 0)) return [];
  return [adminEvent('WebhookSecretStored', { secretVersion, previousEndsAtMs: nowMs + overlapMs })];
}

/**
 * Sends nothing to it any more, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `webhook.not_found`
 */
export function disableWebhook({ reason }: AdminDataOf<'WebhookDisabled'>, state: Webhook): WebhookEvent[] {
  requireBegun('webhook', state);
  return state.disabled ? [] : [adminEvent('WebhookDisabled', { reason })];
}

/**
 * Takes the webhook at its word that it is gone.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `webhook.not_found`
 * @source RFC 9110 §15.5.11
 */
export function recordWebhookGone({ messageId }: AdminDataOf<'WebhookGone'>, state: Webhook): WebhookEvent[] {
  requireBegun('webhook', state);
  return state.disabled ? [] : [adminEvent('WebhookGone', { messageId })];
}
