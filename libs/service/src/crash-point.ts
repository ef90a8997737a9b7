import { channel } from 'node:diagnostics_channel';

/** Where a worker is killed by the crash matrix; the table of `docs/flows/refresh.md` has a row for each. */
export const crashPoints = [
  'before the claim',
  'after the claim',
  'after the release',
  'after the provider answered',
  'after the vault stored',
  'after the outcome',
  'before the acknowledgement',
] as const;
/** Where the vault is killed by it. */
export const vaultCrashPoints = ['after it wrote the release', 'after it stored'] as const;
/** Where `authorization` is killed in an import. */
export const importCrashPoints = [
  'after the import began',
  'after its tokens were stored',
  'after its tokens were promoted',
  'after the import',
] as const;
export type CrashPoint =
  | (typeof crashPoints)[number]
  | (typeof vaultCrashPoints)[number]
  | (typeof importCrashPoints)[number];

const passed = channel('postern.crash-point');

/**
 * Says by name that a process has come to a place at which its death is told apart from any other.
 *
 * Nothing in Postern listens, so this does nothing: no setting and no message can arm it. The crash matrix loads a
 * listener of its own before the service, from the specs, which are not built (docs/adr/0017).
 */
export function crashPoint(point: CrashPoint, connectionId: string): void {
  if (passed.hasSubscribers) passed.publish({ point, connectionId });
}
