import { isAtLeast, parseVersion } from './version.ts';

describe('versions', () => {
  test.each([
    ['nats-server: v2.15.2', '2.15.2'],
    ["Vault v1.21.1 ('abc+CHANGES'), built 2025-11-18T13:04:32Z", '1.21.1'],
    ['Vault v1.19.0+ent (cgo)', '1.19.0'],
    ['OpenBao v2.1.0', '2.1.0'],
    ['command not found', undefined],
  ])('%s says %s', (text, version) => expect(parseVersion(text)).toBe(version));

  test.each([
    ['2.14.0', true],
    ['2.15.0', true],
    ['3.0.0', true],
    ['2.9.10', false],
    ['2.13.99', false],
    ['1.99.99', false],
  ])('%s is new enough for 2.14.0: %s', (version, enough) => expect(isAtLeast(version, '2.14.0')).toBe(enough));
});
