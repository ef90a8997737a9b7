import { waitFor } from '@postern/testing';

import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';
import { describeWithSmallDisk, mountSmallDisk, type SmallDisk } from '../spec-support/small-disk.ts';

const wholeTimeoutMs = 300_000;
const mebibyte = 1024 ** 2;
/** The record's own wait, the refusal's, and a busy machine's leisure: bounded is what is asked for. */
const refusedWithinMs = 30_000;

async function lease({ http, connectionId, agentId }: World): Promise<string> {
  const request = { agent_id: agentId, purpose: 'on a full disk' };
  const { status, body } = await http.request('POST', `/v1/connections/${connectionId}/token`, request);
  return status === 200 ? 'granted' : String(body['code']);
}

describeWithSmallDisk('a disk that is full', () => {
  test(
    'lets nothing be leased that cannot be recorded, and is over when there is room, without a service started anew',
    async () => {
      const sentences: string[] = [];
      let disk: SmallDisk | undefined;
      const prepare = ({ natsDir }: { natsDir: string }) => {
        const mounted = mountSmallDisk(natsDir, 64);
        disk = mounted;
        return async () => mounted.unmount();
      };
      await withWorld(
        (sentence) => sentences.push(sentence),
        async (world) => {
          await world.acme.setAccessTokenTtl(600);
          await story[0]?.run(world);
          await story[1]?.run(world);
          const services = world.stack.processes().filter(({ name }) => name !== 'nats-server');
          expect(await lease(world)).toBe('granted');

          disk?.fill();
          let slowestMs = 0;
          await waitFor(
            async () => {
              const sinceMs = performance.now();
              const answer = await lease(world);
              slowestMs = Math.max(slowestMs, performance.now() - sinceMs);
              return answer === 'vault.audit_unavailable';
            },
            { timeoutMs: 60_000, describe: 'leases go on' },
          );
          await waitFor(() => sentences.some((one) => one.includes('is full')), {
            timeoutMs: 60_000,
            describe: 'nobody said so',
          });
          expect(await lease(world)).toBe('vault.audit_unavailable');
          expect(slowestMs).toBeLessThan(refusedWithinMs);

          disk?.empty();
          const answers: string[] = [];
          await waitFor(async () => answers[answers.push(await lease(world)) - 1] === 'granted', {
            timeoutMs: 120_000,
            describe: () => `no lease: ${answers.join(', ')}`,
          });
          expect(world.stack.processes().filter(({ name }) => name !== 'nats-server')).toEqual(services);
          // The other logs are written again too, and by whom they were.
          for (const command of ['suspend', 'resume']) {
            const path = `/v1/connections/${world.connectionId}/${command}`;
            expect((await world.http.request('POST', path, {})).status).toBe(200);
          }
          expect(await lease(world)).toBe('granted');
        },
        { prepare, storeRoomBytesMin: 16 * mebibyte },
      );
    },
    wholeTimeoutMs,
  );
});
