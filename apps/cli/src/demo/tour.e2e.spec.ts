import { describeWithServer } from '@postern/servers';

import { playDemo, storyTimeoutMs } from '../spec-support/play-demo.ts';

await describeWithServer('nats-server', 'postern demo --tour', () => {
  test(
    'each way to a connection is leased, used and revoked, as processes against real servers',
    async () => {
      const { steps, code, output } = await playDemo('--tour');
      expect(steps.filter(({ held }) => !held)).toEqual([]);
      expect([steps.length, code]).toEqual([6, 0]);
      const [, , , onBehalf, mcp] = steps.map(({ proof }) => proof as Record<string, unknown>);
      expect(onBehalf).toMatchObject({
        act: { sub: expect.stringMatching(/^app_/) as string },
        chain_on_record: [
          { subject_connection_id: onBehalf?.['on_behalf_of'], actor_connection_id: onBehalf?.['acts'] },
        ],
        ada_at_billing: 401,
      });
      expect(mcp?.['client_id']).toMatch(/^https:\/\/postern\.example\/oauth\/clients\/reg_/);
      expect(output).not.toMatch(/"access_token":"(?!given)|client_secret|refresh_token":"[A-Za-z0-9_-]{20}/);
    },
    storyTimeoutMs,
  );
});
