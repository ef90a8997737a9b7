import { commitHeaders, commitSignatureContext, newId } from '@postern/contracts';
import { signedMessage } from '@postern/crypto';

import { forge, makeWriters, newRef } from './contract/fixtures.ts';
import { subjectOf } from './aggregate.ts';

const { signers, reader } = makeWriters();

/** A true first commit as it stands in the log. */
function stored() {
  const ref = newRef();
  const { payload, headers } = forge(ref, signers.revocation, { revision: 1 });
  return { subject: subjectOf({ ...ref, kind: 'connection' }), position: 1, timeMs: 0, payload, headers };
}

test('a true commit is read', () => {
  expect(reader.read(stored())).toMatchObject({ kind: 'commit', entry: { identity: 'revocation' } });
});

test.each([commitHeaders.messageId, commitHeaders.id, commitHeaders.type, commitHeaders.subject, commitHeaders.time])(
  'its header %s must say what its payload says',
  (name) => {
    const message = stored();
    const { [name]: _, ...without } = message.headers;
    for (const headers of [without, { ...message.headers, [name]: 'other' }]) {
      expect(reader.read({ ...message, headers })).toMatchObject({
        kind: 'foreign',
        reason: `its header ${name} disagrees with its payload`,
      });
    }
  },
);

test('a payload that is no UTF-8 is damage, even when its writer signed it', () => {
  const message = stored();
  const payload = Buffer.from(message.payload);
  payload[payload.indexOf('contract')] = 0xff;
  const signature = signers.revocation.sign(signedMessage(commitSignatureContext, message.subject, payload));
  const headers = { ...message.headers, [commitHeaders.signature]: signature };
  expect(reader.read({ ...message, payload, headers })).toMatchObject({ kind: 'damaged' });
});

describe('a move to another epoch', () => {
  const ref = newRef();
  const ids = { platform: newId('platform'), registration: newId('registration') };
  const state = {
    ...{ tenantId: ref.tenantId, connectionId: ref.id, platformId: ids.platform, providerId: 'acme' },
    ...{ registrationId: ids.registration, endUserDigest: '', returnUrl: '', createdAtMs: 1 },
    ...{ authorization: 'revoked', session: null, pastSessions: [], credential: null, claim: null, interrupted: null },
    ...{ suspended: false, health: { status: 'ok', reason: null, failingSinceMs: null, nextAttemptAtMs: null } },
    ...{ reauthorizationCause: null, evidence: null, revokedAtMs: 1, revocationCause: null },
    ...{ upstreamRevocation: null, keyShredded: false },
  };
  const hash = 'a'.repeat(64);
  const closing = { epoch: 1, nextEpoch: 2, authorization: 'revoked' };
  const opening = { epoch: 2, previousEpoch: 1, previousRevision: 6, previousHash: hash, state };
  const event = (type: string, data: object) => ({ type, version: 1, data: { ...data } });

  function read(events: ReturnType<typeof event>[]) {
    const forged = forge(ref, signers.revocation, { revision: 7, previousHash: hash, events });
    return reader.read({ ...forged, position: 1, timeMs: 0 }).kind;
  }

  test('closes and opens what fits together', () => {
    expect(read([event('EpochClosed', closing), event('EpochOpened', opening)])).toBe('commit');
  });

  test.each<[string, object, object]>([
    ['revives what was revoked', closing, { ...opening, state: { ...state, authorization: 'authorized' } }],
    ['opens another epoch', closing, { ...opening, epoch: 3 }],
    ['closes another epoch', { ...closing, epoch: 1, nextEpoch: 3 }, opening],
    ['follows another revision', closing, { ...opening, previousRevision: 5 }],
    ['follows another message', closing, { ...opening, previousHash: 'b'.repeat(64) }],
  ])('that %s is foreign', (_what, closed, opened) => {
    expect(read([event('EpochClosed', closed), event('EpochOpened', opened)])).toBe('foreign');
  });

  test('is both events in this order, and nothing else', () => {
    const [close, open] = [event('EpochClosed', closing), event('EpochOpened', opening)];
    const other = event('ConnectionSuspended', { reason: null });
    for (const events of [[close], [open], [open, close], [close, open, other], [close, other, open]]) {
      expect(read(events)).toBe('foreign');
    }
  });
});
