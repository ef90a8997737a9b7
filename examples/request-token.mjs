#!/usr/bin/env node
/**
 * Asks Postern for an access token over NATS and opens the sealed answer: a NATS library and a JOSE library are all
 * that a client in any language needs.
 *
 *   node examples/request-token.mjs --nats nats://127.0.0.1:4222 --creds platform.creds \
 *     --tenant ten_… --platform plt_… --connection con_… --agent agt_… [--api URL] [--count 1]
 *
 * With --api it calls that URL with the token. With --count it asks that many times at once. Prints one line of JSON;
 * tokens stand in it as fingerprints.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';

const text = { type: 'string' };
const { values: given } = parseArgs({
  options: {
    nats: text,
    creds: text,
    tenant: text,
    platform: text,
    connection: text,
    agent: text,
    api: text,
    count: text,
  },
});
const count = Number(given.count ?? 1);

const bus = await connect({
  servers: given.nats,
  authenticator: credsAuthenticator(readFileSync(given.creds)),
  // A platform may listen to its own inbox only.
  inboxPrefix: `_INBOX.${given.platform}`,
});
// A fresh key a run: the answer is sealed to it, and nobody else can open it.
const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
const recipientKey = await exportJWK(publicKey);

async function lease() {
  const request = {
    connection_id: given.connection,
    agent_id: given.agent,
    purpose: 'example: read contacts',
    recipient_key: recipientKey,
  };
  const subject = `tokens.lease.${given.tenant}.${given.platform}`;
  const answer = await bus.request(subject, JSON.stringify(request), { timeout: 20_000 });
  if (answer.headers?.has('Nats-Service-Error')) return { refused: answer.json() };
  const granted = answer.json();
  const { plaintext } = await compactDecrypt(granted.sealed_token, privateKey);
  return { granted, accessToken: new TextDecoder().decode(plaintext) };
}

const results = await Promise.all(Array.from({ length: count }, lease));
await bus.close();

const fingerprint = (token) => createHash('sha256').update(token).digest('hex').slice(0, 12);
const tokens = results.flatMap(({ accessToken }) => (accessToken === undefined ? [] : [accessToken]));
const [first] = results;
const api =
  given.api !== undefined && tokens.length > 0
    ? (await fetch(given.api, { headers: { authorization: `Bearer ${tokens[0]}` } })).status
    : undefined;

console.log(
  JSON.stringify({
    granted: tokens.length,
    fingerprints: [...new Set(tokens.map(fingerprint))],
    ...(first.granted && {
      lease_id: first.granted.lease_id,
      expires_at: first.granted.expires_at,
      scope: first.granted.scope,
      freshness: first.granted.freshness,
    }),
    refused: results.flatMap(({ refused }) => (refused === undefined ? [] : [refused])),
    api_status: api,
  }),
);
process.exitCode = tokens.length === count ? 0 : 1;
