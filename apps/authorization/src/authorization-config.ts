import { decodeBase64url, Secret } from '@postern/crypto';
import { defineConfig, flag, secretFileOf } from '@postern/service';

const keyBytes = 32;

function keyOf(content: Secret): Secret<Uint8Array> {
  const key = decodeBase64url(content.reveal());
  if (key?.byteLength !== keyBytes) throw new TypeError('not a key');
  return Secret.from(new Uint8Array(key));
}

const key = () => secretFileOf(keyOf, `${keyBytes} bytes in base64url`);

/** What `authorization` is told beside what every service is. */
export class AuthorizationConfig extends defineConfig({
  /** Seals what a browser carries between our page and the callback. */
  cookieKey: key(),
  /** Makes the digests by which end users and accounts stand in the log. */
  digestKey: key(),
  /** For the demo and for tests: a provider on this machine, also over plain http. */
  allowLoopbackProviders: flag().default(false),
}) {}
