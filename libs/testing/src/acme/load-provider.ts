/**
 * Loads oidc-provider when the first Acme starts.
 *
 * Late, so that tests which only want the other helpers do not pay for it; and without the line it prints on every
 * Node.js release that is not yet a long-term one, since the demo's output is for people.
 */
export async function loadProvider(): Promise<typeof import('oidc-provider')> {
  const warn = console.warn;
  console.warn = (...args: unknown[]) => {
    if (!String(args[0]).includes('Unsupported runtime')) warn(...args);
  };
  try {
    return await import('oidc-provider');
  } finally {
    console.warn = warn;
  }
}
