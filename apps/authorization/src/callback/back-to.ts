/** The return_url with what the platform needs; a query of its own stays. */
export function backTo(returnUrl: string, parameters: Readonly<Record<string, string>>): URL {
  const url = new URL(returnUrl);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}
