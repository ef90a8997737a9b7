import type { Printer } from '../output/printer.ts';
import type { KeyringChoice } from '../data-folder/keyring-choice.ts';
import { dataFolder } from '../data-folder/paths.ts';
import { startStack, type Stack } from './stack.ts';

export interface UpOptions {
  readonly data?: string | undefined;
  readonly port: number;
  readonly host: string;
  readonly publicUrl?: string | undefined;
  readonly keyring?: KeyringChoice | undefined;
  readonly identityTtlMs?: number | undefined;
}

/** `postern up`: everything on this machine, until Ctrl-C. */
export async function up(options: UpOptions, printer: Printer): Promise<void> {
  const folder = await dataFolder(options.data);
  const progress = (sentence: string) => process.stderr.write(`postern: ${sentence}\n`);
  const ending = signalled();
  const stack = await startStack({ ...options, folder, onProgress: progress });
  printer.result(
    {
      url: stack.url,
      nats_url: stack.natsUrl,
      tenant_id: stack.tenantId,
      data: folder.root,
      administrator_file: folder.administratorFile,
      processes: stack.processes(),
    },
    () => describe(stack, folder.root, folder.administratorFile),
  );
  await ending;
  progress('stopping; what is in hand is finished first');
  await stack.stop();
}

function describe(stack: Stack, root: string, administratorFile: string): string[] {
  return [
    `Postern is up at ${stack.url}`,
    `  bus                  ${stack.natsUrl}`,
    `  tenant               ${stack.tenantId}`,
    `  data                 ${root}`,
    `  first administrator  ${administratorFile} (only you can read it)`,
    '',
    'Next, in another shell:',
    `  npx postern platforms create --name "My agents" --return-url http://127.0.0.1:9000/connected --data ${root}`,
    'Ctrl-C ends everything.',
  ];
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
}
