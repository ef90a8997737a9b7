import { z } from 'zod';

import { jsonSchemaOf } from './openapi.ts';
import { AccessGroup } from './access.ts';
import { Commit } from './commit.ts';
import { Notification, WebhookNotice } from './notifications.ts';
import { operations, type Operation } from './operations.ts';
import { Problem } from './problem.ts';
import { Signal } from './signal.ts';

type Json = Record<string, unknown>;

/** The stored messages that others may read, beside requests and replies. */
const storedMessages = {
  connectionCommit: { address: 'connection.{epoch}.{tenant_id}.{connection_id}', payload: Commit, reader: 'services' },
  adminCommit: { address: 'admin.{tenant_id}.{aggregate}.{id}', payload: Commit, reader: 'services' },
  accessGroup: { address: 'access.{service}.{writer}', payload: AccessGroup, reader: 'audit' },
  signal: { address: 'signal.{source}.{registration_id}.{delivery_id}', payload: Signal, reader: 'revocation' },
  notification: {
    address: 'notify.{tenant_id}.{type}',
    payload: z.union([Notification, WebhookNotice]),
    reader: 'platforms',
  },
} as const;

function addressOf(op: Operation): string {
  return op.scope === 'platform' ? `${op.name}.{tenant_id}.{platform_id}` : `${op.name}.{app}`;
}

function parametersOf(address: string): Json {
  return Object.fromEntries([...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name ?? '', {}]));
}

function requestChannel(key: string, op: Operation): Json {
  const address = addressOf(op);
  return {
    address,
    summary: op.summary,
    parameters: parametersOf(address),
    messages: {
      [`${key}Request`]: { payload: jsonSchemaOf(op.request, 'input') },
      [`${key}Reply`]: { payload: jsonSchemaOf(op.reply, 'output') },
      problem: { $ref: '#/components/messages/problem' },
    },
  };
}

function requestOperation(key: string, op: Operation): Json {
  return {
    action: 'receive',
    channel: { $ref: `#/channels/${key}` },
    summary: op.summary,
    tags: [{ name: op.owner }],
    messages: [{ $ref: `#/channels/${key}/messages/${key}Request` }],
    reply: {
      messages: [{ $ref: `#/channels/${key}/messages/${key}Reply` }, { $ref: `#/channels/${key}/messages/problem` }],
    },
  };
}

/** The AsyncAPI 3 document of the bus, made from the operations table and the schemas of stored messages. */
export function asyncApiDocument(version: string): Json {
  const requests = Object.entries<Operation>(operations);
  const stored = Object.entries(storedMessages);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Postern on the bus',
      version,
      license: { name: 'Apache-2.0' },
      description:
        'Errors travel in the headers Nats-Service-Error and Nats-Service-Error-Code, with a problem document as body.',
    },
    defaultContentType: 'application/json',
    channels: {
      ...Object.fromEntries(requests.map(([key, op]) => [key, requestChannel(key, op)])),
      ...Object.fromEntries(
        stored.map(([key, { address, payload, reader }]) => [
          key,
          {
            address,
            summary: `Read by ${reader}.`,
            parameters: parametersOf(address),
            messages: { [key]: { payload: jsonSchemaOf(payload, 'output') } },
          },
        ]),
      ),
    },
    operations: {
      ...Object.fromEntries(requests.map(([key, op]) => [key, requestOperation(key, op)])),
      ...Object.fromEntries(stored.map(([key]) => [key, { action: 'send', channel: { $ref: `#/channels/${key}` } }])),
    },
    components: { messages: { problem: { payload: jsonSchemaOf(Problem, 'output') } } },
  };
}
