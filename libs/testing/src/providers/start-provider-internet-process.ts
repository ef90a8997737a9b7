import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { ProviderControl, ProviderInternet, ProviderOrder } from './start-provider-internet.ts';

interface ReadyLine {
  readonly proxyUrl: string;
  readonly caPath: string;
  readonly controlToken: string;
}

/**
 * Starts the simulated providers in a process of their own, as third parties are, which ends with this one.
 *
 * @param dataDir a folder for their certificates
 * @throws when the process ends before it is ready; its stderr is this process's own.
 */
export async function startProviderInternetProcess(dataDir: string): Promise<ProviderInternet> {
  const name = import.meta.url.endsWith('.ts') ? './provider-internet-process.ts' : './provider-internet-process.js';
  const program = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, [program, '--data-dir', dataDir], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the simulated providers ended before they were ready (exit code ${code})`);
  });
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])) as [string];
  ended.catch(() => undefined);
  const { proxyUrl, caPath, controlToken } = JSON.parse(line) as ReadyLine;

  const order = async (what: ProviderOrder): Promise<unknown> => {
    const response = await fetch(`${proxyUrl}/_control`, {
      method: 'POST',
      headers: { authorization: `Bearer ${controlToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(what),
    });
    const answer = (await response.json()) as { result?: unknown; error?: string };
    if (!response.ok) throw new Error(`the simulated providers refused ${what.do}: ${answer.error}`);
    return answer.result;
  };
  const remote = <Name extends keyof ProviderControl>(name: Name) =>
    ((...given: unknown[]) => order({ do: name, with: given } as ProviderOrder)) as ProviderControl[Name];
  return {
    proxyUrl,
    caPath,
    registerClient: remote('registerClient'),
    makeSecret: remote('makeSecret'),
    endSecret: remote('endSecret'),
    installApp: remote('installApp'),
    uninstallApp: remote('uninstallApp'),
    registerKey: remote('registerKey'),
    withdrawApproval: remote('withdrawApproval'),
    setWebhook: remote('setWebhook'),
    latestGrant: remote('latestGrant'),
    grant: remote('grant'),
    takeAway: remote('takeAway'),
    complaints: remote('complaints'),
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
