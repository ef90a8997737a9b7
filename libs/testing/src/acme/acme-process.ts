import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';

import { startAcme } from './start-acme.ts';

/*
 * Acme CRM as a process of its own: `node acme-process.js [--port N] [--access-token-ttl-s N]`, or ACME_PORT and
 * ACME_ACCESS_TOKEN_TTL_S. Prints one JSON line when it is ready, and ends when its stdin does, which a parent's
 * death brings about however it died.
 */
const { values } = parseArgs({
  options: { port: { type: 'string' }, 'access-token-ttl-s': { type: 'string' } },
});
const port = values.port ?? process.env['ACME_PORT'];
const accessTokenTtlS = values['access-token-ttl-s'] ?? process.env['ACME_ACCESS_TOKEN_TTL_S'];
const controlToken = randomBytes(24).toString('base64url');

process.stdin.resume();
process.stdin.once('close', () => process.exit(0));

const acme = await startAcme({
  controlToken,
  ...(port !== undefined && { port: Number(port) }),
  ...(accessTokenTtlS !== undefined && { accessTokenTtlS: Number(accessTokenTtlS) }),
});
const { issuer, endpoints } = acme;
process.stdout.write(`${JSON.stringify({ ready: true, issuer, port: acme.port, endpoints, controlToken })}\n`);
