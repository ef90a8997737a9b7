import * as fc from 'fast-check';
import { openCredential, sealCredential, type CredentialBinding } from './index.ts';

const dataKey = Buffer.alloc(32, 5);
const name = fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }).filter((text) => text.isWellFormed());
const bindings: fc.Arbitrary<CredentialBinding> = fc.record({
  tenantId: name,
  providerId: name,
  ownerId: name,
  credentialVersion: fc.nat(),
  kind: name,
});
const plaintext = Buffer.from('{"accessToken":"at"}');
const refused = expect.objectContaining({ code: 'vault.ciphertext_invalid' });

describe('a credential', () => {
  test('opens under its own binding', () => {
    fc.assert(
      fc.property(bindings, fc.uint8Array(), (binding, bytes) => {
        const sealed = sealCredential({ dataKey, binding, plaintext: bytes });
        expect(openCredential({ dataKey, binding: { ...binding }, sealed })).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test('never opens with any one of tenant, provider, owner, version or kind swapped', () => {
    fc.assert(
      fc.property(bindings, bindings, (binding, other) => {
        const sealed = sealCredential({ dataKey, binding, plaintext });
        for (const member of ['tenantId', 'providerId', 'ownerId', 'credentialVersion', 'kind'] as const) {
          if (binding[member] === other[member]) continue;
          const swapped = { ...binding, [member]: other[member] };
          expect(() => openCredential({ dataKey, binding: swapped, sealed })).toThrow(refused);
        }
      }),
    );
  });

  test('never opens where the same letters are cut elsewhere', () => {
    const binding = { tenantId: 'ab', providerId: 'c', ownerId: 'd1', credentialVersion: 2, kind: 'k' };
    const sealed = sealCredential({ dataKey, binding, plaintext });
    const others = [
      { ...binding, tenantId: 'a', providerId: 'bc' },
      { ...binding, tenantId: 'c', providerId: 'ab' },
      { ...binding, ownerId: 'd', credentialVersion: 12 },
    ];
    for (const other of others) expect(() => openCredential({ dataKey, binding: other, sealed })).toThrow(refused);
  });

  test('never opens under another data key, or with a byte changed', () => {
    const binding = { tenantId: 'a', providerId: 'b', ownerId: 'c', credentialVersion: 1, kind: 'd' };
    const sealed = sealCredential({ dataKey, binding, plaintext });
    expect(() => openCredential({ dataKey: Buffer.alloc(32, 6), binding, sealed })).toThrow(refused);
    expect(() => openCredential({ dataKey: Buffer.alloc(31), binding, sealed })).toThrow(refused);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => openCredential({ dataKey, binding, sealed: changed })).toThrow(refused);
    }
  });

  test('is not sealed without a whole binding: that is a bug, not a refusal', () => {
    const binding = { tenantId: 'a', providerId: 'b', ownerId: 'c', credentialVersion: 1, kind: 'd' };
    for (const change of [{ tenantId: '' }, { kind: '' }, { credentialVersion: -1 }, { credentialVersion: 1.5 }]) {
      expect(() => sealCredential({ dataKey, binding: { ...binding, ...change }, plaintext })).toThrow(TypeError);
    }
  });
});
