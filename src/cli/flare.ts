import type { Command } from 'commander';
import type { RunOptions } from './flare/run.ts';
import type { StartOptions } from './flare/start.ts';
import type { StatusOptions } from './flare/status.ts';

const LAKES = ['--lakes <file>', 'the workflow and its lakes', 'lakes.yml'] as const;

/** `fogwhisk flare`: forecast workflows of lakes. */
export function addFlareCommands(program: Command, config: readonly [flags: string, description: string]): void {
  const flare = program.command('flare').description('forecast workflows of lakes, as FLARE has them');
  flare
    .command('run')
    .description('manual mode: run the program of one step on a folder of this machine; no site is needed')
    .requiredOption('--lake <name>')
    .requiredOption('--container <name>', 'the step')
    .requiredOption('--dir <folder>', "holds the containers' working directories side by side")
    .option('--cycle <day>', 'the day that the step works for (default: today, in the time zone of the lake)')
    .option('--function <n>', "one of FLARE's functions, where the step has several")
    .option(...LAKES)
    .action(async (options: RunOptions) => (await import('./flare/run.ts')).runStepCommand(options));
  flare
    .command('deploy')
    .argument('[file]', 'the workflow and its lakes', 'lakes.yml')
    .description('make triggers, rules, sequences and alarms for each lake; what is there stays')
    .option(...config)
    .action(async (file: string, options: { config?: string }) =>
      (await import('./flare/deploy.ts')).deployLakes(file, options),
    );
  flare
    .command('start')
    .description('begin a step of a lake on the running site, as its alarm would')
    .requiredOption('--lake <name>')
    .requiredOption('--container <name>', 'the step')
    .option('--cycle <day>', 'the day that the step works for (default: today, in the time zone of the lake)')
    .option('--force', 'also if it is done for that day; and so the steps after it')
    .option(...config)
    .option(...LAKES)
    .action(async (options: StartOptions) => (await import('./flare/start.ts')).startStepCommand(options));
  flare
    .command('status')
    .description('the latest cycles of each lake, step by step')
    .option(...config)
    .option(...LAKES)
    .option('--lake <name>', 'only this one')
    .option('--cycles <n>', 'how many of the latest cycles', Number, 2)
    .option('--json', 'for programs')
    .action(async (options: StatusOptions) => (await import('./flare/status.ts')).flareStatus(options));
}
