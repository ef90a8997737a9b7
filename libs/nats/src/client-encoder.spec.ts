import { TE } from '@nats-io/nats-core/internal';
import * as fc from 'fast-check';

import { useBuffersInClient } from './client-encoder.ts';

test('the client spells every text as TextEncoder does', () => {
  useBuffersInClient();
  const standard = new TextEncoder();
  const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('\uD83D', '\uDD11', 'a') }));
  fc.assert(fc.property(texts, (text) => Buffer.compare(TE.encode(text), standard.encode(text)) === 0));
  expect(TE.encode()).toHaveLength(0);
  expect(TE.encode('x')).toBeInstanceOf(Buffer);
});
