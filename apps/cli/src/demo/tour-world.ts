import { rm } from 'node:fs/promises';

import { temporaryDataDir } from '@postern/servers';
import {
  reachingProviders,
  reachProviders,
  startProviderInternetProcess,
  type ProviderInternet,
} from '@postern/testing';

import { knownAs, withMcp, type McpWorld } from './mcp-world.ts';
import { withWorld, type World, type WorldOptions } from './world.ts';

/** Where the tour goes. */
export interface TourWorld {
  /** That of the story. */
  readonly world: World;
  /** An MCP server that nobody knows yet. */
  readonly mcp: McpWorld;
  /** Named providers, where the real ones would be. */
  readonly internet: ProviderInternet;
}

/** Starts all of it; what is reached under a provider's own name, is reached by a proxy of ours. */
export async function withTourWorld<T>(
  onProgress: (sentence: string) => void,
  act: (tour: TourWorld) => Promise<T>,
  options: Pick<WorldOptions, 'keyring'>,
): Promise<T> {
  const dataDir = temporaryDataDir('postern-tour-');
  const closers: (() => Promise<unknown> | void)[] = [() => rm(dataDir, { recursive: true, force: true })];
  try {
    const internet = await startProviderInternetProcess(dataDir);
    closers.push(() => internet.close());
    closers.push(reachProviders(internet));
    Object.assign(process.env, reachingProviders(internet));
    const inWorld = async (world: World) => await withMcp(world, async (mcp) => await act({ world, mcp, internet }));
    return await withWorld(onProgress, inWorld, { ...options, publicUrl: knownAs });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}
