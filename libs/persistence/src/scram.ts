import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

import { PosternError } from '@postern/contracts';

const iterations = 4_096;

/**
 * The verifier that PostgreSQL stores for a password. Sent in place of the password, so that it never stands in a
 * statement, where a server that logs statements would keep it.
 *
 * @throws {PosternError} `config.invalid` unless the password is 16 or more printable ASCII characters, for which
 *   SASLprep changes nothing.
 * @source RFC 5802 §3, RFC 7677 §3
 * @internal
 */
export function scramVerifier(password: string): string {
  if (!/^[\x21-\x7e]{16,}$/.test(password)) {
    throw new PosternError('config.invalid', 'A database password must be 16 or more printable ASCII characters.');
  }
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
