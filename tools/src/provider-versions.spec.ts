import { presentVersions, versionFaults, withNewVersions, writtenVersions } from './provider-versions.ts';

const [one, two] = ['1'.repeat(64), '2'.repeat(64)];

test('no version of a provider’s file has changed or gone since it was written down, and each is written down', () => {
  expect(versionFaults({ written: writtenVersions(), present: presentVersions() })).toEqual([]);
});

test('a file that is changed in place, and a version that was replaced and not kept, are found', () => {
  const written = new Map([
    ['acme/1', one],
    ['acme/2', two],
  ]);
  const faultsOf = (present: readonly (readonly [string, string])[]) =>
    versionFaults({ written, present: new Map(present) });
  expect(faultsOf([...written])).toEqual([]);
  expect(
    faultsOf([
      ['acme/1', one],
      ['acme/2', one],
    ]),
  ).toEqual([expect.stringMatching(/^acme\/2 has changed/)]);
  expect(faultsOf([['acme/2', two]])).toEqual([expect.stringMatching(/^acme\/1 is gone/)]);
  expect(faultsOf([...written, ['acme/3', one]])).toEqual([expect.stringMatching(/^acme\/3 is not written down/)]);
});

test('what is written down is never written over', () => {
  const written = new Map([['acme/2', two]]);
  const present = new Map([
    ['acme/2', one],
    ['acme/10', one],
  ]);
  const lines = withNewVersions({ written, present }).split('\n').slice(1);
  expect(lines).toEqual([`acme/2 ${two}`, `acme/10 ${one}`, '']);
});
