import { commitHeaders, commitSignatureContext } from '@postern/contracts';
import { signedMessage } from '@postern/crypto';

import { subjectOf } from '../aggregate.ts';
import type { StoredMessage } from '../event-log.ts';
import type { AggregateRef } from '../repository.ts';
import { forge, newRef, type Writers } from './fixtures.ts';
import { bytes, text } from './harness.ts';

type Make = (ref: AggregateRef, writers: Writers) => Pick<StoredMessage, 'payload' | 'headers'>;

/** What somebody may put onto a subject who may publish there, or who makes a server or a service do it. */
export const foreignMessages: Readonly<Record<string, Make>> = {
  "a server's acknowledgement": () => ({ payload: bytes('{"stream":"SIGNALS","seq":7}'), headers: {} }),
  unsigned: (ref, { signers }) => {
    const { payload, headers } = forge(ref, signers.revocation);
    return { payload, headers: without(headers, commitHeaders.signature) };
  },
  'signed by a stranger': (ref, { signers }) => forge(ref, signers.stranger),
  'a known key, another signature': (ref, { signers }) => {
    const { payload, headers } = forge(ref, signers.stranger);
    return { payload, headers: { ...headers, [commitHeaders.key]: signers.revocation.keyId } };
  },
  'one byte changed': (ref, { signers }) => {
    const { payload, headers } = forge(ref, signers.revocation);
    return { payload: bytes(text(payload).replace('"changes":99', '"changes":98')), headers };
  },
  'a writer without the right': (ref, { signers }) => forge(ref, signers.refresh),
  'a right event beside a wrong one': (ref, { signers }) =>
    forge(ref, signers.revocation, {
      events: [
        { type: 'ConnectionSuspended', version: 1, data: { reason: null } },
        { type: 'RefreshTokenReleased', version: 1, data: { claimId: 'clm_01jd0000000000000000000000' } },
      ],
    }),
  "another aggregate's commit": (_ref, { signers }) => forge(newRef(), signers.revocation),
  "another aggregate's payload, signed for this one's subject": (ref, { signers }) => {
    const { payload, headers } = forge(newRef(), signers.revocation);
    const subject = subjectOf({ ...ref, kind: 'connection' });
    const signature = signers.revocation.sign(signedMessage(commitSignatureContext, subject, payload));
    return { payload, headers: { ...headers, [commitHeaders.signature]: signature } };
  },
  "an administrator's event": (ref, { signers }) =>
    forge(ref, signers.revocation, {
      events: [{ type: 'TenantDisabled', version: 1, data: { reason: null } }],
    }),
  'an opening of another epoch, with a state slipped in': (ref, { signers }) =>
    forge(ref, signers.revocation, { events: [{ type: 'EpochOpened', version: 1, data: { epoch: 2 } }] }),
  'headers that disagree with the payload': (ref, { signers }) => {
    const { payload, headers } = forge(ref, signers.revocation);
    return { payload, headers: { ...headers, [commitHeaders.time]: '2020-01-01T00:00:00.000Z' } };
  },
};

function without(headers: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}
