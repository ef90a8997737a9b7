import { isPosternError, problemOf, toPosternError, type PosternError } from '@postern/contracts';

/** How a command answers: a table for people, or JSON that stays as documented. */
export interface Printer {
  readonly json: boolean;
  /** Prints one result: `value` as JSON, or `lines` for people. */
  result(value: unknown, lines: () => string[]): void;
  /** Prints one line of a stream, as it comes. */
  line(value: unknown, text: () => string): void;
  error(error: unknown): void;
}

export function createPrinter({ json }: { json: boolean }): Printer {
  const print = (text: string) => process.stdout.write(`${text}\n`);
  return {
    json,
    result: (value, lines) => (json ? print(JSON.stringify(value, null, 2)) : lines().forEach(print)),
    line: (value, text) => print(json ? JSON.stringify(value) : text()),
    error: (error) =>
      process.stderr.write(`${json ? JSON.stringify(problemOf(toPosternError(error))) : sentence(error)}\n`),
  };
}

function sentence(error: unknown): string {
  if (!isPosternError(error))
    return paint('31', error instanceof Error ? (error.stack ?? error.message) : String(error));
  return `${paint('31', error.code)}: ${error.message}${reasonFor(error)}\n  ${error.row.advice}`;
}

/** Why a key service cannot be asked names places, so it stands in the cause: for an operator, not for a platform. */
function reasonFor({ code, cause }: PosternError): string {
  return code === 'vault.key_service_unavailable' && cause instanceof Error ? ` ${cause.message}.` : '';
}

/** Paints text with an ANSI code where a terminal reads it and NO_COLOR is not set. */
export function paint(code: string, text: string): string {
  const coloured = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
  return coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Rows as an aligned table; the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row, index) => {
    const text = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    return index === 0 ? paint('1', text) : text;
  });
}
