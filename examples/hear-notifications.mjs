#!/usr/bin/env node
/**
 * Prints what Postern tells a platform's tenant, one JSON object a line, until its standard input closes.
 *
 *   node examples/hear-notifications.mjs --nats nats://127.0.0.1:4222 --creds platform.creds --tenant ten_… --platform plt_…
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { connect, credsAuthenticator } from '@nats-io/transport-node';

const text = { type: 'string' };
const { values: given } = parseArgs({ options: { nats: text, creds: text, tenant: text, platform: text } });

const bus = await connect({
  servers: given.nats,
  authenticator: credsAuthenticator(readFileSync(given.creds)),
  inboxPrefix: `_INBOX.${given.platform}`,
});
const subscription = bus.subscribe(`notify.${given.tenant}.>`);
await bus.flush();
console.log(JSON.stringify({ listening: `notify.${given.tenant}.>` }));

process.stdin.resume();
process.stdin.on('end', () => void bus.close());
for await (const message of subscription) {
  const notification = message.json();
  // Another platform can have the answer to a request of its own sent here; a notification carries its id as a header.
  if (message.headers?.get('Nats-Msg-Id') === notification.id) console.log(JSON.stringify(notification));
}
