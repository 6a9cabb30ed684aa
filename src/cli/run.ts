import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { ConfigError } from '../config.ts';
import { FogwhiskError } from '../core/errors.ts';
import type { ParkedOptions } from './parked.ts';
import { ProviderProblem } from './provider-client.ts';
import type { ReplayCommandOptions } from './replay-command.ts';

/** Exit code for a configuration that can't be used (EX_CONFIG of sysexits.h). */
const EXIT_CONFIG = 78;

/** The `fogwhisk` command: one file per subcommand, loaded when it is called. */
export async function run(argv: readonly string[]): Promise<void> {
  const program = new Command('fogwhisk')
    .description(
      'Event-driven fog IoT ingestion: MQTT readings and alarms fire Apache OpenWhisk triggers, and nothing is lost.',
    )
    .version(packageVersion())
    .showHelpAfterError();
  const config = [
    '--config <file>',
    'the ConfigMap to read (default: ./configmap.yml, or the one that comes with fogwhisk)',
  ] as const;

  program
    .command('start')
    .description('start the site: the provider, and the embedded parts that the configuration asks for')
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./start.ts')).start(options, packageVersion()));
  program
    .command('check')
    .description('validate the configuration and print the effective one, secrets masked')
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./check.ts')).check(options));
  program
    .command('status')
    .description('the books of the running site by registration, and what is in the way')
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./status.ts')).status(options));
  const parked = program.command('parked').description('messages that were kept aside, each with the reason why');
  const selected = (command: Command) =>
    command
      .option(...config)
      .option('--registration <name>', 'only those of this registration')
      .option('--code <code>', 'only those with this reason');
  selected(parked.command('list'))
    .description('list them, oldest first')
    .action(async (options: ParkedOptions) => (await import('./parked.ts')).listParked(options));
  parked
    .command('show')
    .argument('<id>')
    .description('show one with its body')
    .option(...config)
    .action(async (id: string, options: ParkedOptions) => (await import('./parked.ts')).showParked(id, options));
  selected(parked.command('redrive'))
    .argument('[id]')
    .description('fire one again, or all that are selected')
    .option('--body <text>', 'with this body instead')
    .action(async (id: string | undefined, options: ParkedOptions) =>
      (await import('./parked.ts')).redriveParked(id, options),
    );
  selected(parked.command('delete'))
    .argument('[id]')
    .description('delete one, or all that are selected; they count as expired')
    .action(async (id: string | undefined, options: ParkedOptions) =>
      (await import('./parked.ts')).deleteParked(id, options),
    );
  program
    .command('replay')
    .argument('<file>', 'a CSV file with a header line')
    .description("publish a CSV file's rows as readings to the configured broker")
    .option(...config)
    .option('--time <name>', 'the column of the time (default: the first)')
    .option('--rate <n>', 'messages per second (default: as fast as the broker takes them)', positiveNumber)
    .option('--topic <topic>', 'the topic to publish to (default: the first that is configured)')
    .option('--device <id>', 'becomes device_fingerprint of every reading')
    .action(async (file: string, options: ReplayCommandOptions) =>
      (await import('./replay-command.ts')).replayCommand(file, options),
    );
  try {
    await program.parseAsync(argv);
  } catch (error) {
    const forPeople =
      error instanceof ConfigError || error instanceof FogwhiskError || error instanceof ProviderProblem;
    if (!forPeople) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : 1;
  }
}

function packageVersion(): string {
  const file = fileURLToPath(new URL('../../package.json', import.meta.url));
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above 0.');
  return value;
}
