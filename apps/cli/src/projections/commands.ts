import {
  ModelName,
  modelNames,
  operations,
  PosternError,
  type Projection,
  type ProjectionVerified,
} from '@postern/contracts';
import type { Command } from 'commander';

import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import { createProgress } from '../output/progress.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';

/** A million events take minutes, a hundred million hours; whoever has died in between is noticed by his silence. */
const longWorkMsMax = 24 * 3_600_000;
const lookMs = 1_000;

/** `postern projections …`: the read models against the log. */
export function projectionCommands(program: Command, run: RunCommand): void {
  const projections = program.command('projections').description('the read models against the log');

  projections
    .command('list')
    .description(
      'how far each is, and which messages it set aside; exit code 1 when one is halted or set something aside',
    )
    .action(
      run.withSession(async ({ session, tenantId, printer }) => {
        const { projections: found } = await session.call(operations.listProjections, tenantId, {});
        printer.result({ projections: found }, () => listLines(found));
        const isWhole = found.every(({ state, set_aside: aside }) => state !== 'halted' && aside.count === 0);
        if (!isWhole) process.exitCode = exitCodes.notSo;
      }),
    );

  projections
    .command('rebuild <name>')
    .description('makes one anew from the log, beside the live one, then puts it in its place')
    .action(
      run.withSession(async (one) => {
        const model = modelOf(one.args[0]);
        const rebuilt = await watched(one, model, 'building', () =>
          one.session.call(operations.rebuildProjection, one.tenantId, { model }, { timeoutMs: longWorkMsMax }),
        );
        one.printer.result(rebuilt, () => [
          `${model} was made anew of ${rebuilt.messages} messages, up to position ${rebuilt.position}`,
        ]);
      }),
    );

  projections
    .command('verify [name]')
    .description('compares one, or all, with a fresh fold of the log; exit code 1 when a row differs')
    .action(
      run.withSession(async (one) => {
        const models = one.args[0] === undefined ? modelNames : [modelOf(one.args[0])];
        const verified: ProjectionVerified[] = [];
        for (const model of models) {
          verified.push(
            await watched(one, model, 'verifying', () =>
              one.session.call(operations.verifyProjection, one.tenantId, { model }, { timeoutMs: longWorkMsMax }),
            ),
          );
        }
        one.printer.result({ verified }, () => verified.flatMap(verifiedLines));
        if (verified.some(({ same }) => !same)) process.exitCode = exitCodes.notSo;
      }),
    );
}

function modelOf(name: string | undefined): ModelName {
  const model = ModelName.safeParse(name);
  if (model.success) return model.data;
  throw new PosternError('request.malformed', `There is no read model ${name}; there are ${modelNames.join(', ')}.`);
}

/** Tells how far it is while somebody else works. */
async function watched<T>(
  { session, tenantId }: SessionRun,
  model: ModelName,
  role: 'building' | 'verifying',
  work: () => Promise<T>,
): Promise<T> {
  const progress = createProgress();
  const look = async () => {
    const { projections } = await session.call(operations.listProjections, tenantId, {});
    const found = projections.find((one) => one.model === model);
    const beside = found?.generations.find((one) => one.role === role);
    if (beside !== undefined) progress.tell(`${model}: ${beside.position} of ${found?.head ?? 0}`);
  };
  const timer = setInterval(() => void look().catch(() => undefined), lookMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    progress.end();
  }
}

function listLines(found: readonly Projection[]): string[] {
  const rows = found.map(({ model, stream, state, head, behind, generations, set_aside: aside }) => {
    const beside = generations
      .filter(({ role }) => role !== 'live')
      .map(({ role, position }) => `${role} at ${position}`);
    const keptFrom = generations.find(({ role }) => role === 'live')?.kept_from?.slice(0, 10) ?? 'all';
    return [
      model,
      stream,
      state,
      String(head),
      String(behind),
      keptFrom,
      String(aside.count),
      beside.join(', ') || '-',
    ];
  });
  const asides = found.flatMap(({ model, set_aside: { first } }) =>
    first.map(({ position, kind, reason }) => [model, String(position), kind, reason]),
  );
  return [
    ...table([['MODEL', 'STREAM', 'STATE', 'HEAD', 'BEHIND', 'KEPT FROM', 'SET ASIDE', 'BESIDE'], ...rows]),
    ...(asides.length === 0 ? [] : ['', ...table([['SET ASIDE BY', 'POSITION', 'KIND', 'REASON'], ...asides])]),
  ];
}

function verifiedLines({ model, same, position, messages, tenants, difference }: ProjectionVerified): string[] {
  if (same) return [`${model} is what ${messages} messages give, up to position ${position}, for ${tenants} tenants`];
  const key = Object.entries(difference?.key ?? {}).map(([column, value]) => `${column} ${value}`);
  return [
    `${model} is not what the log gives, up to position ${position}: ${difference?.table}, ${[`tenant ${difference?.tenant_id ?? '-'}`, ...key].join(', ')}`,
    `  live   ${difference?.live ?? 'no such row'}`,
    `  fresh  ${difference?.fresh ?? 'no such row'}`,
  ];
}
