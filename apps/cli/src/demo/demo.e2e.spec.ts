import { describeWithServer } from '@postern/servers';

import { playDemo, storyTimeoutMs } from '../spec-support/play-demo.ts';

await describeWithServer('nats-server', 'postern demo', () => {
  test(
    'the story holds, step by step, as processes against a real authorization server',
    async () => {
      const { steps, code, output, stderr } = await playDemo();
      expect(steps.filter(({ held }) => !held)).toEqual([]);
      expect([steps.length, code, stderr.includes('Error')]).toEqual([9, 0, false]);
      // What a step shows as its proof is for everybody to read.
      expect(output).not.toMatch(/"access_token":"(?!given)|client_secret|refresh_token":"[A-Za-z0-9_-]{20}/);
    },
    storyTimeoutMs,
  );
});
