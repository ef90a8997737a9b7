import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

const root = join(import.meta.dirname, '../../..');
const folder = join(import.meta.dirname, 'standards');

/** A test by the spec that has it. */
export interface Proof {
  readonly spec: string;
  readonly test: string;
}

/** One MUST or MUST NOT that falls to a client, and what there is for it. */
export interface Requirement {
  readonly section: string;
  readonly must: string;
  readonly proofs: readonly Proof[];
  /** Why there is nothing to prove. */
  readonly notApplicable: string | null;
  /** What has to be built before it can be proved. */
  readonly pending: string | null;
}

export interface Standard {
  readonly file: string;
  readonly id: string;
  readonly title: string;
  readonly url: string;
  readonly requirements: readonly Requirement[];
}

interface StandardFile {
  readonly standard: string;
  readonly title: string;
  readonly url: string;
  /** Short names of specs, by which `proof` names them. */
  readonly specs: Readonly<Record<string, string>>;
  readonly requirements: readonly {
    readonly at: string;
    readonly must: string;
    readonly proof?: string | readonly string[];
    readonly not_applicable?: string;
    readonly pending?: string;
  }[];
}

const separator = ' › ';

/** Every standard that is listed, with its requirements in the order of their sections. */
export function readStandards(): readonly Standard[] {
  return readdirSync(folder)
    .toSorted((a, b) => Number(/\d+/.exec(a)?.[0] ?? Infinity) - Number(/\d+/.exec(b)?.[0] ?? Infinity))
    .map((file) => standardOf(file, parse(readFileSync(join(folder, file), 'utf8')) as StandardFile));
}

function standardOf(file: string, { standard, title, url, specs, requirements }: StandardFile): Standard {
  return {
    ...{ file, id: standard, title, url },
    requirements: requirements.map(({ at, must, proof = [], not_applicable, pending }) => ({
      section: at,
      must,
      proofs: (typeof proof === 'string' ? [proof] : proof).map((text) => proofOf(text, { file, specs })),
      notApplicable: not_applicable ?? null,
      pending: pending ?? null,
    })),
  };
}

function proofOf(text: string, { file, specs }: Pick<StandardFile, 'specs'> & { file: string }): Proof {
  const at = text.indexOf(separator);
  const spec = specs[text.slice(0, at)];
  if (at < 0 || spec === undefined) throw new Error(`${file}: "${text}" does not begin with a spec of the file`);
  return { spec, test: text.slice(at + separator.length) };
}

/** The source of a spec. @throws when there is none */
export function sourceOf({ spec }: Pick<Proof, 'spec'>): string {
  return readFileSync(join(root, spec), 'utf8');
}

/** Does the spec have this test, by its whole name, and is it run? */
export function isThere({ test }: Pick<Proof, 'test'>, source: string): boolean {
  const name = test.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll("'", "\\\\?'");
  const named = [...source.matchAll(new RegExp(`\\(\\s*(['"\`])${name}\\1\\s*,`, 'g'))];
  return named.some(({ index }) => !/\b(?:skip|todo|xtest|xit)\s*(?:\.each\([^)]*\))?$/.test(source.slice(0, index)));
}

const cell = (text: string) => text.replaceAll('|', '\\|');

/** The page of `docs/reference`. */
export function conformanceDocument(): string {
  const standards = readStandards();
  const count = (pick: (one: Requirement) => boolean) => (one: Standard) => one.requirements.filter(pick).length;
  const summary = standards.map((one) => {
    const [proved, apart, open] = [
      count(({ proofs }) => proofs.length > 0)(one),
      count(({ notApplicable }) => notApplicable !== null)(one),
      count(({ pending }) => pending !== null)(one),
    ];
    return `| [${one.id}](${one.url}) ${cell(one.title)} | ${proved} | ${apart} | ${open} |`;
  });
  const sections = standards.map(({ id, title, requirements }) => {
    const rows = requirements.map(
      (one) => `| ${/^\d/.test(one.section) ? '§' : ''}${one.section} | ${cell(one.must)} | ${cell(standing(one))} |`,
    );
    return `## ${id}: ${title}\n\n| at | a client | proved by |\n| --- | --- | --- |\n${rows.join('\n')}`;
  });
  const intro = `# Conformance

Generated from \`tools/src/conformance/standards\` by \`npm run docs\`. Each MUST and MUST NOT that falls to a client stands here with
the test that proves it, or with the reason why it does not apply; a test fails when a named test does not exist. What a server or a
resource owner must do is not listed. At the end stands what a hostile server may try. **Open** is what belongs to a flow that is not built yet.

| standard | proved | does not apply | open |
| --- | --- | --- | --- |
${summary.join('\n')}`;
  return `${[intro, ...sections].join('\n\n')}\n`;
}

function standing({ proofs, notApplicable, pending }: Requirement): string {
  if (notApplicable !== null) return `does not apply: ${notApplicable}`;
  if (pending !== null) return `**open**: ${pending}`;
  return proofs.map(({ spec, test }) => `\`${spec}\`: ${test}`).join('<br>');
}
