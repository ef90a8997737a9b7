import { z } from 'zod';

import { CommitId, TenantId } from './ids.ts';
import { adminAggregates } from './subjects.ts';
import { Timestamp } from './wire.ts';

/** Who caused a decision. An end user has no id here: events hold nothing a person may ask to have forgotten. */
export const Actor = z.object({
  type: z.enum(['platform', 'agent', 'end_user', 'administrator', 'provider', 'service']),
  id: z.string().min(1).max(128).optional(),
});
export type Actor = z.infer<typeof Actor>;

/** Kinds of aggregates: `connection` stands on CONNECTIONS, all others on ADMIN. */
export const aggregateKinds = ['connection', ...adminAggregates] as const;
export const AggregateKind = z.enum(aggregateKinds);
export type AggregateKind = z.infer<typeof AggregateKind>;

/** An event as it is stored: its type and version select the schema of its data. */
export const StoredEvent = z.object({
  type: z.string().regex(/^[A-Z][A-Za-z]+$/),
  version: z.number().int().positive(),
  data: z.record(z.string(), z.unknown()),
});
export type StoredEvent = z.infer<typeof StoredEvent>;

/**
 * One decision, one message (docs/adr/0003): the payload of a message on CONNECTIONS or ADMIN.
 *
 * `revision` is ours and gapless from 1; the position is the stream's sequence and stands outside. `at` never goes
 * back within an aggregate. `state` is the fold up to and including these events; `previousHash` is the SHA-256 of
 * the aggregate's previous message (subject, line feed, payload bytes), null for the first.
 */
export const Commit = z.object({
  commitId: CommitId,
  tenantId: TenantId,
  aggregate: AggregateKind,
  aggregateId: z.string(),
  revision: z.number().int().positive(),
  at: Timestamp,
  actor: Actor,
  causationId: z.string().max(128).nullable(),
  correlationId: z.string().max(128),
  events: z.array(StoredEvent).min(1),
  stateVersion: z.number().int().positive(),
  state: z.unknown(),
  previousHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
export type Commit = z.infer<typeof Commit>;

/** Names of the headers of a stored commit: CloudEvents' NATS binding, and ours. */
export const commitHeaders = Object.freeze({
  messageId: 'Nats-Msg-Id',
  id: 'ce-id',
  source: 'ce-source',
  type: 'ce-type',
  subject: 'ce-subject',
  time: 'ce-time',
  specVersion: 'ce-specversion',
  contentType: 'content-type',
  key: 'Postern-Key',
  signature: 'Postern-Signature',
  traceparent: 'traceparent',
});

/** The CloudEvents type of every commit message. */
export const commitEventType = 'dev.postern.commit.v1';

/** Separates our signatures over commits from signatures over anything else. */
export const commitSignatureContext = 'postern.commit.v1';
