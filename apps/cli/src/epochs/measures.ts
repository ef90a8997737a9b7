import { PosternError } from '@postern/contracts';

const milliseconds: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const bytes: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 };

/** A length of time such as `90m` or `7d`. @throws {PosternError} `request.malformed` */
export function millisecondsOf(text: unknown, option: string): number | undefined {
  return measured(text, { option, units: milliseconds });
}

/** A size such as `500MiB`. @throws {PosternError} `request.malformed` */
export function bytesOf(text: unknown, option: string): number | undefined {
  return measured(text, { option, units: bytes });
}

function measured(
  text: unknown,
  { option, units }: { readonly option: string; readonly units: Readonly<Record<string, number>> },
): number | undefined {
  if (text === undefined) return undefined;
  const written = typeof text === 'string' ? text : '';
  const [, number = '', unit = ''] = /^(\d{1,9})([A-Za-z]+)$/.exec(written) ?? [];
  const factor = Object.hasOwn(units, unit) ? (units[unit] ?? 0) : 0;
  const value = Number(number) * factor;
  if (value > 0) return value;
  throw new PosternError('request.malformed', `${option} takes a number and one of ${Object.keys(units).join(', ')}.`);
}
