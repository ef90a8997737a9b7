import * as fc from 'fast-check';
import { z } from 'zod';

import { Commit } from './commit.ts';
import { eventDefinitions } from './events.ts';
import { LeaseRequest } from './operations.ts';
import { parseJson } from './parse-json.ts';

const id = (prefix: string) => `${prefix}_01jd0000000000000000000001`;
const granted = {
  sessionId: id('ses'),
  credentialVersion: 1,
  grantedScopes: ['contacts.read'],
  accessTokenExpiresAtMs: 1_893_456_600_000,
  hasRefreshToken: true,
  accountDigest: null,
};

const commit = {
  commitId: id('cmt'),
  tenantId: id('ten'),
  aggregate: 'connection',
  aggregateId: id('con'),
  revision: 2,
  at: '2026-11-25T10:25:38.344Z',
  actor: { type: 'service', id: 'bench' },
  causationId: null,
  correlationId: id('cor'),
  events: [{ type: 'ConnectionSuspended', version: 1, data: { reason: null } }],
  stateVersion: 1,
  state: { suspended: true },
  previousHash: 'a'.repeat(64),
};

/** The data of events with every kind of field there is. */
const dataOf: Readonly<Record<string, object>> = {
  AuthorizationStarted: {
    sessionId: id('ses'),
    purpose: 'connect',
    platformId: id('plt'),
    providerId: 'acme-crm',
    registrationId: id('reg'),
    endUserDigest: 'digest',
    requestedScopes: ['contacts.read', 'offline_access'],
    returnUrl: 'https://platform.example/return',
    expiresAtMs: 0,
  },
  AuthorizationDenied: { sessionId: id('ses'), stage: 'exchange', error: 'access_denied', errorDescription: null },
  ConnectionAuthorized: granted,
  RefreshFailed: { claimId: id('clm'), error: 'server_error', httpStatus: 503, nextAttemptAtMs: 1_893_456_600_000 },
  UpstreamRevocationFailed: { credentialVersion: 3, error: 'timeout', final: false },
  ConnectionKeyShredded: {},
};

const recipientKey = { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) };
const leaseRequest = {
  connection_id: id('con'),
  agent_id: id('agt'),
  purpose: 'sync contacts',
  scopes: ['contacts.read'],
  min_ttl_s: 60,
  recipient_key: { ...recipientKey, kid: 'key', use: 'enc', alg: 'ECDH-ES' },
  receipt: true,
};

const schemas: [string, z.ZodType, object][] = [
  ['a request for a lease', LeaseRequest, leaseRequest],
  [
    'the shortest request for a lease',
    LeaseRequest,
    { connection_id: id('con'), agent_id: id('agt'), purpose: 'sync', recipient_key: recipientKey },
  ],
  ['a commit', Commit, commit],
  ['a commit without what may be missing', Commit, { ...commit, actor: { type: 'end_user' }, previousHash: null }],
  [
    'an authorization that names accounts',
    eventDefinitions.get('ConnectionAuthorized')?.data ?? z.never(),
    { ...granted, accountKeys: { team: 'digest', team_bot: 'another' } },
  ],
  ...Object.entries(dataOf).map(([type, data]): [string, z.ZodType, object] => [
    type,
    eventDefinitions.get(type)?.data ?? z.never(),
    data,
  ]),
];

/** Values at the edges of what the schemas allow. */
const odd: readonly unknown[] = [
  ...[null, true, false, 0, 1, -1, 1.5, 1e21, Number.MAX_SAFE_INTEGER + 1, '', 'x', 'con_*', 'connection', 'service'],
  ...[[], [''], [1], ['a b'], {}, { reason: 1 }, { type: 'service' }, [{}], [{ type: 'X', version: 0, data: [] }]],
  ...[43, 128, 129, 256, 257, 512, 513, 2_048, 2_049].flatMap((length) => [
    'y'.repeat(length),
    '\u{1F511}'.repeat(length),
  ]),
  ...['2026-02-30T00:00:00Z', '2026-02-28T00:00:00+01:00', 'A'.repeat(64), id('ten'), id('ses').toUpperCase()],
];

interface Place {
  readonly holder: Record<string, unknown>;
  readonly name: string;
}

/** Every member of every object or list within. */
function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((name) => [{ holder, name }, ...placesIn(holder[name])]);
}

/** What may happen to one place of what was written: JSON text again, so that no class and no hole comes in. */
function change({ holder, name }: Place, kind: string, value: unknown): void {
  const before = holder[name];
  if (kind === 'replace') holder[name] = value;
  if (Array.isArray(holder) || kind === 'replace') return;
  if (kind === 'remove' || kind === 'move') delete holder[name];
  if (kind === 'move') holder[name] = before;
  if (kind === 'add') holder['later'] = value;
  const own = { value, enumerable: true, configurable: true, writable: true };
  if (kind === 'proto') Object.defineProperty(holder, '__proto__', own);
}

const kinds = ['replace', 'remove', 'move', 'add', 'proto'];

describe.each(schemas)('%s', (_name, schema, sample) => {
  test('is taken as it is, without a copy', () => {
    const json: unknown = JSON.parse(JSON.stringify(sample));
    expect(schema.safeParse(json).data).toEqual(sample);
    expect(parseJson(schema, json)).toBe(json);
  });

  test('is read as the schema reads it, whatever else stands in its place', () => {
    const mutation = fc.record({ at: fc.nat(), kind: fc.constantFrom(...kinds), value: fc.constantFrom(...odd) });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        const changed = structuredClone(sample);
        for (const { at, kind, value } of mutations) {
          const places = placesIn(changed);
          const place = places[at % Math.max(1, places.length)];
          if (place === undefined) Object.assign(changed, { later: value });
          else change(place, kind, structuredClone(value));
        }
        const text = JSON.stringify(changed);
        const expected = schema.safeParse(JSON.parse(text)).data;
        const read = parseJson(schema, JSON.parse(text));
        expect(read).toEqual(expected);
        // Order of members too: states are compared byte for byte.
        expect(JSON.stringify(read)).toBe(JSON.stringify(expected));
      }),
      { numRuns: 500 },
    );
  });

  test.each([null, 'text', 7, true, [], [[]], {}].map((value) => [value]))('%j is read as the schema does', (value) => {
    expect(parseJson(schema, value)).toEqual(schema.safeParse(value).data);
  });
});

test.each([
  ['a default', z.object({ a: z.string().default('x') }), {}, { a: 'x' }],
  ['an optional default', z.object({ a: z.string().default('x').optional() }), {}, { a: 'x' }],
  ['a change', z.object({ a: z.string().trim() }), { a: ' x ' }, { a: 'x' }],
  ['a coercion', z.object({ a: z.coerce.number() }), { a: '1' }, { a: 1 }],
  ['a rule of its own', z.object({ a: z.string() }).refine(() => false), { a: 'x' }, undefined],
  ['an inner rule', z.array(z.string()).refine(({ length }) => length > 1), ['x'], undefined],
  ['a format that is more than a pattern', z.object({ a: z.url() }), { a: 'http://[' }, undefined],
  ['a name with a rule', z.record(z.string().max(1), z.unknown()), { ab: 1 }, undefined],
  ['two units that are one character', z.string().min(2), '\u{1F511}', undefined],
  ['one character of two units', z.string().length(1), '\u{1F511}', '\u{1F511}'],
  ['two units of one character', z.string().length(2), '\u{1F511}', undefined],
  ['a value that may not be', z.object({ a: z.never().optional() }), { a: 1 }, undefined],
])('%s is left to the schema', (_name, schema: z.ZodType, json, expected) => {
  expect(parseJson(schema, json)).toEqual(expected);
});
