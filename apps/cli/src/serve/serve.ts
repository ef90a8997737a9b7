import { AppName, PosternError } from '@postern/contracts';
import { runService, type ServiceDefinition } from '@postern/service';

/**
 * Runs one service alone, as in production; its configuration stands in POSTERN_* variables.
 *
 * The app's package is loaded by its name (docs/adr/0002): the command line depends on no app.
 *
 * @throws {PosternError} `request.malformed` for an unknown app.
 */
export async function serve(name: string): Promise<void> {
  const app = AppName.safeParse(name);
  if (!app.success) {
    throw new PosternError('request.malformed', `There is no app ${name}; there are ${AppName.options.join(', ')}.`);
  }
  const loaded = (await import(`@postern/app-${app.data}`)) as { service: ServiceDefinition };
  await runService(loaded.service, process.env);
}
