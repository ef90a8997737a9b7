import { verify } from '@node-rs/argon2';
import { Secret } from '@postern/crypto';
import { deriveKey, freshParameters } from './passphrase.ts';

describe('the key of a passphrase', () => {
  test('is Argon2id, version 19, with the stored parameters and no others', async () => {
    const parameters = { ...freshParameters(), memoryKiB: 19_456, lanes: 1 };
    const key = (await deriveKey(Secret.from('correct horse battery staple'), parameters)).toString('base64');
    const salt = Buffer.from(parameters.salt, 'base64url').toString('base64');
    const encoded = (algorithm: string) =>
      `$${algorithm}$v=19$m=19456,t=3,p=1$${salt.replaceAll('=', '')}$${key.replaceAll('=', '')}`;
    expect(await verify(encoded('argon2id'), 'correct horse battery staple')).toBe(true);
    expect(await verify(encoded('argon2i'), 'correct horse battery staple')).toBe(false);
    expect(await verify(encoded('argon2id'), 'correct horse battery stable')).toBe(false);
  });

  test('is another under another salt', async () => {
    const passphrase = Secret.from('correct horse battery staple');
    const weak = { memoryKiB: 19_456, passes: 1, lanes: 1 };
    const [one, other] = [
      await deriveKey(passphrase, { ...freshParameters(), ...weak }),
      await deriveKey(passphrase, { ...freshParameters(), ...weak }),
    ];
    expect(one).toHaveLength(32);
    expect(one).not.toEqual(other);
  });
});
