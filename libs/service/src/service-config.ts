import { randomBytes } from 'node:crypto';
import { consumers, isHttpsOrLoopback, limits, PosternError, TrustBundle } from '@postern/contracts';
import { z } from 'zod';
import { configClass, type ConfigClass, type ConfigRule } from './config.ts';
import { Field, type Fields, type ValuesOf } from './config-field.ts';
import { choice, duration, flag, integer, publicFileOf, secretFile, text } from './config-fields.ts';

const publicUrlSchema = z
  .string()
  .refine(isHttpsOrLoopback, 'must be https; plain http is for 127.0.0.1 and localhost only')
  .transform((url) => url.replace(/\/+$/, ''));

/** A token of a subject: instances name their own subjects with it. */
const instanceIdSchema = z.string().regex(/^[A-Za-z0-9_-]{1,48}$/, 'must be 1 to 48 of A-Z a-z 0-9 _ -');

/** What every service is told, whatever it does. */
export const serviceFields = Object.freeze({
  natsUrl: text().default('nats://127.0.0.1:4222'),
  /** Without TLS the network sees who connects what to whom; secrets are sealed all the same. */
  allowPlaintextNats: flag().default(false),
  natsCreds: secretFile(),
  trust: publicFileOf((content) => TrustBundle.parse(JSON.parse(content)), 'a trust bundle'),
  signingKey: secretFile().optional(),
  sealingKey: secretFile().optional(),
  httpHost: text().default('127.0.0.1'),
  httpPort: integer({ min: 0, max: 65_535 }).default(0),
  publicUrl: new Field({ source: 'variable', schema: publicUrlSchema }).default('http://127.0.0.1:7420'),
  logLevel: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  instanceId: new Field({ source: 'variable', schema: instanceIdSchema }).defaultFrom(() =>
    randomBytes(9).toString('base64url'),
  ),
  /** How often the streams are compared with what they must be. */
  streamCheckIntervalMs: duration({ minMs: 50, maxMs: 600_000 }).default(limits.streamCheckIntervalMs),
  /** Two services may be twice this apart: more, and a claim could seem over to one while another still works on it. */
  clockSkewMsMax: duration({ minMs: 100, maxMs: (limits.claimTimeoutMs - limits.providerTimeoutMs) / 2 })
    .default(limits.clockSkewMsMax)
    .from('POSTERN_CLOCK_SKEW_MAX'),
  /** How long a stopping service may finish what it has in hand. */
  shutdownGraceMs: duration({ minMs: 0, maxMs: 600_000 }).default(20_000),
});

type ServiceValues = ValuesOf<typeof serviceFields>;

const serviceRules: readonly ConfigRule<ServiceValues>[] = [{ variable: 'POSTERN_NATS_URL', broken: brokenNatsUrl }];

/**
 * The configuration that every service shares, and the token by which libraries ask for it; an app's own
 * configuration ({@link defineConfig}) is one of these too.
 */
export class ServiceConfig extends configClass(serviceFields, serviceRules) {}

/**
 * Makes the configuration class of an app: every service's fields and its own.
 *
 * @example `export class VaultConfig extends defineConfig({ databaseUrl: secretFile() }) {}`
 * @param rules relations between values, each with the variable to blame and the sentence to blame it with.
 */
export function defineConfig<const S extends Fields>(
  shape: S,
  rules: readonly ConfigRule<ServiceValues & ValuesOf<S>>[] = [],
): ConfigClass<ServiceValues & ValuesOf<S>> {
  const fields = { ...serviceFields, ...shape };
  const all = [...serviceRules, ...rules];
  return configClass(fields, all as never) as unknown as ConfigClass<ServiceValues & ValuesOf<S>>;
}

function brokenNatsUrl({ natsUrl, allowPlaintextNats }: ServiceValues): string | undefined {
  const urls = natsUrl.split(',').map((url) => url.trim());
  if (!urls.every((url) => /^(nats|tls):\/\/[^/@\s]+$/.test(url))) {
    return 'must be nats://host:port or tls://host:port, more of them separated by commas, without credentials';
  }
  const bare = urls.find((url) => url.startsWith('nats:') && !isHttpsOrLoopback(url.replace(/^nats:/, 'http:')));
  if (bare === undefined || allowPlaintextNats) return undefined;
  return `leaves this machine without TLS; use tls://, or set POSTERN_ALLOW_PLAINTEXT_NATS=true on a trusted network`;
}

/** The limits whose order the promises rest on, shortest first. */
export interface OrderedLimits {
  readonly providerTimeoutMs: number;
  readonly claimTimeoutMs: number;
  readonly refreshAckWaitMs: number;
}

/**
 * Asserts that a provider's time ends before the claim on it, and the claim before its message is delivered again.
 *
 * Otherwise a second worker would spend a refresh token that the first one is still spending.
 *
 * @throws {PosternError} `config.invalid`
 */
export function assertLimits({ providerTimeoutMs, claimTimeoutMs, refreshAckWaitMs }: OrderedLimits = limits): void {
  const ackWaitMs = Math.min(refreshAckWaitMs, consumers.refreshWorker.ackWaitMs);
  if (providerTimeoutMs < claimTimeoutMs && claimTimeoutMs < ackWaitMs) return;
  const found = `${providerTimeoutMs}, ${claimTimeoutMs}, ${ackWaitMs}`;
  throw new PosternError(
    'config.invalid',
    `providerTimeoutMs < claimTimeoutMs < refreshAckWaitMs is broken: ${found}.`,
  );
}
