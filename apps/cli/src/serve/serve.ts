import { AppName, PosternError } from '@postern/contracts';
import { runService, type ServiceDefinition } from '@postern/service';

/**
 * Runs one service alone, as in production; its configuration stands in POSTERN_* variables.
 *
 * The app's package is loaded by its name (docs/adr/0002): the command line depends on no app.
 *
 * @throws {PosternError} `request.malformed` for an unknown app, `config.invalid` for one that is not installed.
 */
export async function serve(name: string): Promise<void> {
  const app = AppName.safeParse(name);
  if (!app.success) {
    throw new PosternError('request.malformed', `There is no app ${name}; there are ${AppName.options.join(', ')}.`);
  }
  const { service } = await loaded(`@postern/app-${app.data}`);
  await runService(service, process.env);
}

/** An app that came with newer sources is not linked until the next installation. */
async function loaded(name: string): Promise<{ service: ServiceDefinition }> {
  try {
    return (await import(name)) as { service: ServiceDefinition };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(`'${name}'`)) throw error;
    throw new PosternError('config.invalid', `${name} is not installed here: run \`npm ci\` in the project.`, {
      cause: error,
    });
  }
}
