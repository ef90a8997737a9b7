import { assertionProfiles, keyProfiles, providerProfiles } from '@postern/testing';

import { table } from '../output/printer.ts';
import { walkThroughAssertions } from './assertion-steps.ts';
import { installationRow, walkThroughInstallations } from './installation-steps.ts';
import { walkThroughKeys } from './key-steps.ts';
import { withProviderWorld } from './provider-world.ts';
import { steps, walkThrough, type StepResult } from './steps.ts';

/** The named providers by the ids of their profiles. */
export const drillProviders: readonly string[] = [
  ...[...providerProfiles, ...assertionProfiles, ...keyProfiles].map(({ id }) => id),
  installationRow.id,
];

/** What the named providers came to. */
export interface ProviderDrillReport {
  /** By provider and step. */
  readonly results: Readonly<Record<string, Readonly<Record<string, StepResult>>>>;
  readonly failed: number;
  /** The table, and below it what failed and why. */
  readonly lines: readonly string[];
}

/**
 * Takes each named provider through its life, Postern and the providers as processes: connected, leased, refreshed,
 * ended there, ended by us.
 *
 * @param only ids of profiles; all when absent
 */
export async function providerDrill({
  only = drillProviders,
  onProgress,
}: {
  readonly only?: readonly string[];
  readonly onProgress: (sentence: string) => void;
}): Promise<ProviderDrillReport> {
  const chosen = providerProfiles.filter(({ id }) => only.includes(id));
  const chosenAsserting = assertionProfiles.filter(({ id }) => only.includes(id));
  const chosenKeys = keyProfiles.filter(({ id }) => only.includes(id));
  return await withProviderWorld(onProgress, async (world) => {
    const results: Record<string, Readonly<Record<string, StepResult>>> = {};
    for (const profile of chosen) {
      onProgress(profile.name);
      results[profile.id] = await walkThrough(world, profile);
    }
    for (const profile of chosenAsserting) {
      onProgress(profile.name);
      results[profile.id] = await walkThroughAssertions(world, profile);
    }
    for (const profile of chosenKeys) {
      onProgress(profile.name);
      results[profile.id] = await walkThroughKeys(world, profile);
    }
    const chosenApps = [installationRow].filter(({ id }) => only.includes(id));
    for (const { id, name } of chosenApps) {
      onProgress(name);
      results[id] = await walkThroughInstallations(world);
    }
    const complaints = await world.internet.complaints();
    const failures = Object.entries(results).flatMap(([id, row]) =>
      Object.entries(row)
        .filter(([, { result }]) => result === 'failed')
        .map(([step, { note }]) => `failed: ${id}, ${step}: ${note}`),
    );
    const heard = complaints
      .filter(({ profileId }) => profileId === null || failures.some((one) => one.startsWith(`failed: ${profileId},`)))
      .map(({ profileId, where, why }) => `  ${profileId ?? 'nobody'} at ${where}: ${why}`);
    const head = ['provider', ...Object.keys(steps)];
    const rows = [...chosen, ...chosenAsserting, ...chosenApps, ...chosenKeys].map(({ id, name }) => [
      name,
      ...Object.values(results[id] ?? {}).map(cellOf),
    ]);
    return {
      results,
      failed: failures.length,
      lines: [...table([head, ...rows]), ...failures, ...(failures.length > 0 ? heard : [])],
    };
  });
}

function cellOf({ result, note }: StepResult): string {
  if (result === 'failed') return 'FAILED';
  if (result === 'does not apply') return `– (${note})`;
  return note === '' ? 'ok' : `ok (${note})`;
}
