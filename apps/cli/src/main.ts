import { endWithReader } from './output/reader-gone.ts';
import { createProgram } from './program.ts';

const words = process.argv.slice(2);
const [command = ''] = words;
endWithReader(process.stdout, command === 'up' || command === 'serve');
const program = await createProgram(words);
await program.parseAsync();
