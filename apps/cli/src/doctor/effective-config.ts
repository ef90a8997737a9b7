import { appNames, isPosternError, PosternError, type AppName } from '@postern/contracts';
import type { ConfigClass, ServiceDefinition } from '@postern/service';

import type { DataFolder } from '../data-folder/paths.ts';
import { readSupervisorFile } from '../session/supervisor-file.ts';
import { serviceEnvironment } from '../up/service-environment.ts';

/** One setting of one service as it is in force. */
export interface EffectiveSetting {
  readonly variable: string;
  /** A secret is told by the path of its file, or masked. */
  readonly value: string;
  /** Where the value comes from, or what is wrong with it. */
  readonly source: string;
}

/** Of OpenTelemetry's own variables these may hold a collector's password. */
const maskedTelemetry = /HEADERS|CERTIFICATE|KEY/;

/**
 * The configuration of one service: with what `postern up` gives it where that runs on the data folder, by this shell's
 * environment otherwise.
 *
 * @throws {PosternError} `request.malformed` for an app there is not.
 */
export async function effectiveConfig(name: string, folder: DataFolder): Promise<EffectiveSetting[]> {
  const app = appNames.find((known): known is AppName => known === name);
  if (app === undefined) throw new PosternError('request.malformed', `--config takes one of ${appNames.join(', ')}.`);
  const { describeConfig } = await import('@postern/service');
  const { service } = (await import(`@postern/app-${app}`)) as { service: ServiceDefinition };
  const given = givenByUp(app, folder);
  const env = given ?? process.env;
  const settings = describeConfig(service.config as unknown as ConfigClass<object>, env).map(
    ({ variable, value, source, problem }) => ({
      variable,
      value,
      source: problem ?? (source === 'absent' || source === 'default' ? source : sourceOf(variable, source, given)),
    }),
  );
  const telemetry = Object.keys(env)
    .filter((variable) => variable.startsWith('OTEL_'))
    .toSorted()
    .map((variable) => ({
      variable,
      value: maskedTelemetry.test(variable) ? '[secret]' : withoutUserInfo(env[variable] ?? ''),
      source: 'environment',
    }));
  return [...settings, ...telemetry];
}

function sourceOf(variable: string, source: string, given: NodeJS.ProcessEnv | undefined): string {
  return given !== undefined && given[variable] !== process.env[variable] ? `${source}, by postern up` : source;
}

function givenByUp(app: AppName, folder: DataFolder): NodeJS.ProcessEnv | undefined {
  try {
    const { natsUrl, publicUrl, keyServerUrl, services } = readSupervisorFile(folder);
    return serviceEnvironment(app, { folder, natsUrl, publicUrl, keyServerUrl, httpPort: services[app] ?? 0 });
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}

function withoutUserInfo(value: string): string {
  return value.replace(/\/\/[^/@\s]*@/, '//[secret]@');
}
