import { operations } from '@postern/contracts';

import { mayAnswerTo } from './reply-subject.ts';

const platform = { tenantId: 'ten_1', platformId: 'plt_1' };
const { leaseToken, confirmPosition, storeCredential, refreshConnection } = operations;

describe('where an answer may go', () => {
  test('to an import, when platforms may call the operation', () => {
    expect(mayAnswerTo('_R_.AbCd.12', leaseToken, platform)).toBe(true);
    expect(mayAnswerTo('_R_.AbCd.12', confirmPosition, { app: 'revocation' })).toBe(false);
  });

  test('into the inbox of an identity that may call the operation', () => {
    expect(mayAnswerTo('_INBOX.gateway.x', leaseToken, platform)).toBe(true);
    expect(mayAnswerTo('_INBOX.vault.x', refreshConnection, platform)).toBe(true);
    expect(mayAnswerTo('_INBOX.audit.x', leaseToken, platform)).toBe(false);
    expect(mayAnswerTo('_INBOX.platform.x', leaseToken, platform)).toBe(false);
  });

  test('for a service, only into its own inbox', () => {
    expect(mayAnswerTo('_INBOX.refresh.x', storeCredential, { app: 'refresh' })).toBe(true);
    expect(mayAnswerTo('_INBOX.authorization.x', storeCredential, { app: 'refresh' })).toBe(false);
    expect(mayAnswerTo('_INBOX.audit.x', storeCredential, { app: 'audit' })).toBe(false);
  });

  test.each([
    '',
    'connection.1.ten.con',
    'access.vault.x',
    '_INBOX.gatewayx.y',
    '_INBOX',
    '$JS.API.STREAM.INFO.ADMIN',
    '_R_',
  ])('never to %j', (reply) => {
    expect(mayAnswerTo(reply, leaseToken, platform)).toBe(false);
  });
});
