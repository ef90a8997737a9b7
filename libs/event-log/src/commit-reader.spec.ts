import { commitHeaders, commitSignatureContext, newId, type Commit } from '@postern/contracts';
import { signedMessage } from '@postern/crypto';

import { forge, makeWriters, newRef } from './contract/fixtures.ts';
import { subjectOf } from './aggregate.ts';
import { CommitReader } from './commit-reader.ts';

const { signers, reader, verifier } = makeWriters();

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

describe('a commit of this process', () => {
  /** A reader that is told of a commit, and the commit as it stands in the log. */
  function made(signer = signers.revocation) {
    const own = new CommitReader({ verifier });
    const encoded = forge(newRef(), signer, { revision: 1 });
    const commit = JSON.parse(Buffer.from(encoded.payload).toString()) as Commit;
    own.made(commit, encoded);
    const { subject, payload, headers } = encoded;
    return { own, commit, message: { subject, payload, headers, position: 7, timeMs: 8, previousPosition: 0 } };
  }

  test('is neither checked nor read again, and is what anybody reads', () => {
    const { own, commit, message } = made();
    const [met, read] = [own.read(message), reader.read(message)];
    expect(met).toEqual(read);
    expect(met.kind === 'commit' && met.entry.commit).toBe(commit);
    expect(read.kind === 'commit' && read.entry.commit).not.toBe(commit);
  });

  test('is checked like any other where it is not the very same', () => {
    const { own, message } = made();
    const subject = subjectOf({ ...newRef(), kind: 'connection' });
    const payload = Buffer.from(message.payload);
    payload[payload.indexOf('contract')] = 0x43;
    const keyId = `refresh.${message.headers[commitHeaders.key]?.split('.')[1]}`;
    for (const changed of [
      { subject },
      { payload },
      { headers: { ...message.headers, [commitHeaders.key]: keyId } },
      { headers: { ...message.headers, [commitHeaders.time]: 'other' } },
    ]) {
      expect(own.read({ ...message, ...changed }).kind).toBe('foreign');
    }
    expect(own.read(message).kind).toBe('commit');
  });

  test('is foreign to itself, too, where its key is not the one that is pinned', () => {
    const { own, message } = made(signers.stranger);
    expect(own.read(message).kind).toBe('foreign');
  });
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
