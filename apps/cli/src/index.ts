export { killDrill, type DrillOptions, type DrillReport } from './kill-drill/kill-drill.ts';
export { createProgram } from './program.ts';
