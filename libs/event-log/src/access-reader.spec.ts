import {
  accessSignatureContext,
  commitHeaders,
  newId,
  subjects,
  timestampOf,
  type AccessGroup,
} from '@postern/contracts';
import { generateSigningKey, signedMessage } from '@postern/crypto';

import { AccessReader, commitSigner, commitVerifier, type CommitSigner, type StoredMessage } from './index.ts';

const keys = { vault: generateSigningKey(), refresh: generateSigningKey() };
const trust = { writers: { vault: [keys.vault.publicJwk], refresh: [keys.refresh.publicJwk] }, recipients: {} };
const vault = commitSigner('vault', keys.vault.privateJwk);
const refresh = commitSigner('refresh', keys.refresh.privateJwk);
const reader = new AccessReader({ verifier: commitVerifier(trust) });

const group: AccessGroup = {
  writer: 'writer_1',
  sequence: 3,
  records: [
    {
      leaseId: newId('lease'),
      at: timestampOf(1_700_000_000_000),
      tenantId: newId('tenant'),
      platformId: newId('platform'),
      agentId: newId('agent'),
      connectionId: newId('connection'),
      purpose: 'spec',
      scopes: null,
      outcome: 'granted',
      code: null,
      credentialVersion: 1,
      position: 1,
      correlationId: newId('correlation'),
    },
  ],
};

interface Told {
  readonly by?: CommitSigner;
  readonly subject?: string;
  readonly text?: string;
  readonly messageId?: string;
}

function message({
  by = vault,
  text = JSON.stringify(group),
  messageId = 'writer_1.3',
  ...more
}: Told = {}): StoredMessage {
  const { subject = subjects.access({ service: by.identity, writer: 'writer_1' }) } = more;
  const payload = Buffer.from(text);
  const headers = {
    [commitHeaders.messageId]: messageId,
    [commitHeaders.key]: by.keyId,
    [commitHeaders.signature]: by.sign(signedMessage(accessSignatureContext, subject, payload)),
  };
  return { subject, position: 9, timeMs: 1_700_000_000_000, payload, headers };
}

test('a group that its writer signed is read', () => {
  expect(reader.read(message())).toMatchObject({ kind: 'access', entry: { position: 9, group, identity: 'vault' } });
});

test.each([
  ['nobody signed it', { ...message(), headers: {} }, 'foreign'],
  ['it stands under another writer', message({ subject: 'access.vault.writer_2' }), 'foreign'],
  ['its id is another one', message({ messageId: 'writer_1.4' }), 'foreign'],
  ['its signer may record no access', message({ by: refresh }), 'foreign'],
  ['it was moved', { ...message(), subject: 'access.vault.writer_2' }, 'foreign'],
  ['it is no group', message({ text: '{}' }), 'damaged'],
] as const)('it is not read when %s', (_, told, kind) => {
  expect(reader.read(told)).toMatchObject({ kind, position: 9 });
});
