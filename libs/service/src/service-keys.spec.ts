import { generateSealingKey, sealJwe, Secret } from '@postern/crypto';

import { ServiceKeys } from './service-keys.ts';

const { privateJwk, publicJwk } = generateSealingKey();
const keys = new ServiceKeys('notifier', {
  signingKey: undefined,
  sealingKey: Secret.from(JSON.stringify(privateJwk)),
});
const sealedTo = (recipient: typeof publicJwk) =>
  sealJwe({ recipient, plaintext: Buffer.from('shared with somebody'), protectedHeader: { cty: 'text/plain' } });

test('a secret that was sealed to this service is opened, one that was not is told by its name alone', () => {
  expect(Buffer.from(keys.openSecret(sealedTo(publicJwk), 'signing secret')).toString()).toBe('shared with somebody');
  expect(() => keys.openSecret(sealedTo(generateSealingKey().publicJwk), 'signing secret')).toThrow(
    expect.objectContaining({
      code: 'service.internal',
      message: 'The signing secret was not sealed to this service.',
    }),
  );
});
