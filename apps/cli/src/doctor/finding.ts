import { paint } from '../output/printer.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
  /** The command that mends it, or the page that says how; null where nothing is to be mended. */
  readonly mend: string | null;
}

export const fine = (what: string, found: string): Finding => ({ what, ok: true, found, mend: null });
export const wrong = (what: string, found: string, mend: string): Finding => ({ what, ok: false, found, mend });

/** A finding as a person reads it: what is to be mended is a command that can be copied. */
export function findingLine({ what, ok, found, mend }: Finding): string {
  const mark = ok ? paint('32', 'ok    ') : paint('31', 'mend  ');
  return `${mark}  ${what}: ${found}${mend === null ? '' : `\n          → ${mend}`}`;
}
