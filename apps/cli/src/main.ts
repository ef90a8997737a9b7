import { endWithReader } from './output/reader-gone.ts';
import { createProgram } from './program.ts';

const [, , command = ''] = process.argv;
endWithReader(process.stdout, command === 'up' || command === 'serve');
await createProgram().parseAsync();
