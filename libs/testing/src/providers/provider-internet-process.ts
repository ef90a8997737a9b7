import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';

import { providerProfiles } from './profiles/index.ts';
import { assertionProfiles } from './profiles/assertions.ts';
import { keyProfiles } from './profiles/keys.ts';
import { startProviderInternet } from './start-provider-internet.ts';

/*
 * The simulated providers as a process of their own: `node provider-internet-process.js --data-dir DIR`. Prints one JSON
 * line when it is ready, and ends when its stdin does, which a parent's death brings about however it died.
 */
const { values } = parseArgs({ options: { 'data-dir': { type: 'string' } } });
const controlToken = randomBytes(24).toString('base64url');

process.stdin.resume();
process.stdin.once('close', () => process.exit(0));

const { proxyUrl, caPath } = await startProviderInternet({
  profiles: providerProfiles,
  keyProfiles,
  assertionProfiles,
  dataDir: values['data-dir'] ?? '.',
  controlToken,
});
process.stdout.write(`${JSON.stringify({ proxyUrl, caPath, controlToken })}\n`);
