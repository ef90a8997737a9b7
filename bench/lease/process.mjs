/** A part of a benchmark in a process of its own, asked over IPC. */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Starts one of the files beside this one. @returns `ask(job)`, which resolves with the answer, and `end()`. */
export function startPart(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], { execArgv: [] });
  const waiting = [];
  let ended;
  child.on('message', ({ answer, error }) => {
    const { resolve, reject } = waiting.shift();
    if (error === undefined) resolve(answer);
    else reject(new Error(`${file}: ${error}`));
  });
  child.once('exit', (code) => {
    ended = new Error(`${file} ended with ${code}`);
    for (const { reject } of waiting.splice(0)) reject(ended);
  });
  return {
    pid: child.pid,
    ask: (job) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended);
        waiting.push({ resolve, reject });
        child.send(job);
      }),
    end: () => child.kill('SIGKILL'),
  };
}

/** The other side: answers each job in its turn. */
export function serveJobs(handle) {
  let turn = Promise.resolve();
  process.on('disconnect', () => process.exit(0));
  process.on('message', (job) => {
    turn = turn.then(async () => {
      try {
        process.send({ answer: await handle(job) });
      } catch (error) {
        process.send({ error: error instanceof Error ? error.stack : String(error) });
      }
    });
  });
}

const ticksOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 15).map(Number);

/** Time on a processor, whoever else wants the machine. */
export function cpuMsOf(pids) {
  const msOf = (pid) => {
    const [user, system] = ticksOf(pid);
    return (user + system) * 10;
  };
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, msOf(pid)]));
}

/** The same of a server and of the processes that it has started, whether they have ended or not. */
export function cpuMsWithChildren(pid) {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  const ended = ticksOf(pid).reduce((sum, ticks) => sum + ticks, 0) * 10;
  return Object.values(cpuMsOf(children)).reduce((sum, ms) => sum + ms, ended);
}

/** `POSTERN_BENCH_PROFILE=DIR` leaves a CPU profile of a service there. */
export function profiling(app) {
  const folder = process.env.POSTERN_BENCH_PROFILE;
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${app}.cpuprofile`];
}
