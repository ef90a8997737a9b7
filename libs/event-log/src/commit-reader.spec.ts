import { commitHeaders, commitSignatureContext } from '@postern/contracts';
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
