import {
  accountExports,
  identityNames,
  identityPermissions,
  newId,
  operations,
  platformPermissions,
  registrationSecretRights,
  streams,
  streamsStoodOn,
  subjects,
} from './index.ts';

/** Does a NATS permission cover a subject? */
function covers(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [index, part] of wanted.entries()) {
    if (part === '>') return tokens.length > index;
    if (tokens[index] === undefined || (part !== '*' && part !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}
const may = (patterns: readonly string[], subject: string) => patterns.some((pattern) => covers(pattern, subject));

const tenantId = newId('tenant');
const connectionId = newId('connection');

test('only these append to the connection log: each of them has events to write', () => {
  const appenders = identityNames.filter((name) =>
    may(identityPermissions(name).publish, subjects.connection({ tenantId, connectionId })),
  );
  expect(appenders).toEqual(['authorization', 'vault', 'refresh', 'revocation']);
});

test('an identity stands on what it follows, appends to and works off', () => {
  expect(streamsStoodOn('vault')).toEqual(['connections', 'admin', 'access']);
  expect(streamsStoodOn('refresh')).toEqual(['connections', 'admin', 'refresh']);
  expect(streamsStoodOn('audit')).toEqual(['connections', 'admin', 'access', 'checkpoints', 'notifications']);
  expect(streamsStoodOn('gateway')).toEqual(['admin']);
  expect(streamsStoodOn('revocation')).toEqual(['connections', 'admin', 'signals']);
});

test('only audit reads ACCESS', () => {
  const readers = identityNames.filter((name) =>
    may(identityPermissions(name).publish, '$JS.API.CONSUMER.CREATE.ACCESS.x'),
  );
  expect(readers).toEqual(['audit', 'provisioner']);
});

test.each(identityNames.filter((name) => name !== 'provisioner'))(
  '%s can neither delete, purge nor update a stream',
  (name) => {
    const { publish } = identityPermissions(name);
    for (const { name: stream } of Object.values(streams)) {
      for (const verb of ['DELETE', 'PURGE', 'UPDATE', 'CREATE', 'MSG.DELETE'])
        expect(may(publish, `$JS.API.STREAM.${verb}.${stream}`)).toBe(false);
    }
  },
);

test.each(identityNames)('%s subscribes to no inbox but its own and to no stream', (name) => {
  const { subscribe } = identityPermissions(name);
  for (const other of identityNames.filter((identity) => identity !== name))
    expect(may(subscribe, `_INBOX.${other}.x`)).toBe(false);
  expect(may(subscribe, subjects.connection({ tenantId, connectionId }))).toBe(false);
});

test('a platform reaches its own subjects and nobody else’s', () => {
  const own = { tenantId, platformId: newId('platform') };
  const { publish, subscribe } = platformPermissions(own);
  expect(may(publish, `tokens.lease.${own.tenantId}.${own.platformId}`)).toBe(true);
  expect(may(publish, `tokens.lease.${own.tenantId}.${newId('platform')}`)).toBe(false);
  expect(may(publish, 'vault.refresh_token.release.refresh')).toBe(false);
  expect(publish.some((pattern) => pattern.includes('*') || pattern.startsWith('$'))).toBe(false);
  expect(may(subscribe, `notify.${newId('tenant')}.connection.revoked`)).toBe(false);
});

test('what only services may ask does not cross to the platforms’ account', () => {
  const inner = Object.values(operations).filter(({ scope }) => scope === 'service');
  for (const { name } of inner) expect(accountExports.services.some((pattern) => pattern.startsWith(name))).toBe(false);
});

test('an id with a wildcard never becomes a subject', () => {
  expect(() => subjects.connection({ tenantId: '*', connectionId })).toThrow(
    expect.objectContaining({ code: 'request.malformed' }),
  );
});

test('a secret of a registration is released to whom the table names, and a private key to nobody', () => {
  const released = (kind: string) => identityNames.filter((name) => mayAsk(name, `vault.${kind}.release`));
  for (const [kind, { releasedTo }] of Object.entries(registrationSecretRights)) {
    expect([kind, released(kind)]).toEqual([kind, releasedTo]);
  }
  expect(released('webhook_secret')).toEqual(['revocation']);
  expect(released('private_key')).toEqual([]);
  const signing = identityNames.filter((name) => mayAsk(name, 'vault.assertion.sign'));
  expect(signing).toEqual(registrationSecretRights.private_key.signsFor);
});

const mayAsk = (name: (typeof identityNames)[number], operation: string) =>
  may(identityPermissions(name).publish, `${operation}.${name}`);
