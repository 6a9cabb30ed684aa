import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { ConfigError } from '../config.ts';
import { FogwhiskError } from '../core/errors.ts';
import type { ActionAddOptions } from './action.ts';
import type { AggregatesOptions } from './aggregates.ts';
import { addFlareCommands } from './flare.ts';
import type { ParameterOptions } from './parameters.ts';
import type { ParkedOptions } from './parked.ts';
import { ProviderProblem } from './provider-client.ts';
import type { RegistrationOptions } from './registrations.ts';
import type { ReplayCommandOptions } from './replay-command.ts';
import type { SiteNewOptions } from './site-new.ts';

/** Exit code for a configuration that can't be used (EX_CONFIG of sysexits.h). */
const EXIT_CONFIG = 78;

/** The `fogwhisk` command: one file per subcommand, loaded when it is called. */
export async function run(argv: readonly string[]): Promise<void> {
  // `fogwhisk … | head` reads no further, which is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
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
  program
    .command('deploy')
    .description(
      'put the actions, feeds, triggers and rules on the configured OpenWhisk; what is there and equal stays',
    )
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./deploy.ts')).deployCommand(options));
  program
    .command('site')
    .description('the data centers of a deployment on Kubernetes')
    .command('new')
    .argument('<name>', 'its name and namespace')
    .description('write the overlay of a data center, and its Secrets')
    .requiredOption('--from <file>', 'the settings that are its own; KEY_FILE for those that are secret')
    .option('--to <folder>', 'where to make it', 'deploy/overlays')
    .action(async (name: string, options: SiteNewOptions) => (await import('./site-new.ts')).siteNew(name, options));
  const registrations = program.command('registrations').description('what the center has registered for its sites');
  const sites = ['--site <id...>', 'only these sites (default: every site)'] as const;
  registrations
    .command('list')
    .description('list them with their status')
    .option(...config)
    .option(...sites)
    .action(async (options: RegistrationOptions) => (await import('./registrations.ts')).listRegistrations(options));
  registrations
    .command('add')
    .argument('<name>', 'its name: the trigger as /NAMESPACE/NAME, where --trigger names no other')
    .description('register a trigger, or replace what is registered under the name')
    .option(...config)
    .option('--trigger <name>', 'the trigger, as /NAMESPACE/NAME')
    .option('--topic <filter...>', 'fire for messages of these topics')
    .option('--url <url>', "of this broker, named without its login (default: each site's own)")
    .option('--login-file <file>', 'USER:PASSWORD of the broker')
    .option('--alarm <json>', 'fire at these times, e.g. {"cron":"0 3 * * *"}')
    .option('--key-file <file>', "the OpenWhisk key to fire with (default: each site's own)")
    .option(...sites)
    .action(async (name: string, options: RegistrationOptions) =>
      (await import('./registrations.ts')).addRegistration(name, options),
    );
  registrations
    .command('remove')
    .argument('<name>')
    .description('remove one, also where a site has it from a center that was lost')
    .option(...config)
    .action(async (name: string, options: RegistrationOptions) =>
      (await import('./registrations.ts')).removeRegistration(name, options),
    );
  for (const verb of ['enable', 'disable'] as const) {
    registrations
      .command(verb)
      .argument('<name>')
      .description(
        verb === 'enable' ? 'fire again, first what has waited' : 'fire no more; what comes waits at its site',
      )
      .option(...config)
      .option('--reason <text>', 'what its status says')
      .action(async (name: string, options: RegistrationOptions) =>
        (await import('./registrations.ts')).setActive(name, verb === 'enable', options),
      );
  }
  const parameters = program.command('parameters').description("the center's parameters of actions, by site");
  const site = ['--site <id>', 'of this site (default: of every site)'] as const;
  parameters
    .command('list')
    .description('list them, secrets not shown')
    .option(...config)
    .option(...site)
    .action(async (options: ParameterOptions) => (await import('./parameters.ts')).listParameters(options));
  parameters
    .command('set')
    .argument('<name>')
    .argument('[value]', 'JSON, or else text')
    .description('set one')
    .option(...config)
    .option(...site)
    .option('--secret', 'read the value from standard input, and seal it')
    .option('--ref <name>', 'the secret that each site has under this name')
    .action(async (name: string, value: string | undefined, options: ParameterOptions) =>
      (await import('./parameters.ts')).setParameter(name, value, options),
    );
  parameters
    .command('unset')
    .argument('<name>')
    .description('set one no more')
    .option(...config)
    .option(...site)
    .action(async (name: string, options: ParameterOptions) =>
      (await import('./parameters.ts')).unsetParameter(name, options),
    );
  program
    .command('reseal')
    .description('seal the secrets in CouchDB with the current shared key, so that the previous one can go')
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./reseal.ts')).reseal(options));
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
    .command('aggregates')
    .description('aggregate past readings again, by the running site')
    .option(...config)
    .requiredOption('--from <time>', 'a date, in the zone of the setting timezone, or an ISO 8601 time')
    .option('--to <time>', 'up to then (default: the last midnight)')
    .option('--every <duration>', 'the length of the windows: day, hour, 30m', 'day')
    .option('--measurements <names>', 'only these, with commas; * stands for any characters')
    .option('--statistics <names>', 'avg, min, max, median, stddev, count, spread, first, last, percentile(95)')
    .action(async (options: AggregatesOptions) => (await import('./aggregates.ts')).aggregates(options));
  program
    .command('action')
    .description('actions of your own')
    .command('add')
    .argument('<file>', 'its code: .js, .mjs, .cjs, .py, or .zip with --kind')
    .description('create or update an action and a rule that starts it, at all sites that share the CouchDB')
    .option(...config)
    .requiredOption('--on <trigger>', 'the trigger that starts it')
    .option('--name <name>', "the action's name (default: the file's)")
    .option('--kind <kind>', "OpenWhisk's name of the runtime")
    .action(async (file: string, options: ActionAddOptions) => (await import('./action.ts')).addAction(file, options));
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
  program
    .command('hooks')
    .description('the webhooks of the configuration and their tokens, which are secrets')
    .option(...config)
    .action(async (options: { config?: string }) => (await import('./hooks.ts')).printHooks(options));
  addFlareCommands(program, config);
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
