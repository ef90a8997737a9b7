import type { Type } from '@nestjs/common';
import { streamsStoodOn, type AppName, type StreamKey } from '@postern/contracts';
import type { ConfigClass } from './config.ts';
import type { ServiceConfig } from './service-config.ts';

/** An app as `postern serve APP` starts it: its name, its Nest module, its configuration. */
export interface ServiceDefinition {
  readonly app: AppName;
  readonly module: Type;
  readonly config: ConfigClass<ServiceConfig>;
  /** The streams whose configuration is compared at start; those the app stands on when not given. */
  readonly streams?: readonly StreamKey[];
}

/**
 * A provider that has something to begin once every other stands and before the first request is taken: following
 * the log, opening its index. The service is ready when all have resolved.
 */
export interface OnServiceReady {
  onServiceReady(): Promise<void> | void;
}

/** @internal The streams an app stands on. */
export function streamsOf({ app, streams }: ServiceDefinition): readonly StreamKey[] {
  return streams ?? streamsStoodOn(app);
}
