import { type Setting, settings } from '../../src/config.ts';

/** What is written of the settings, made from their table; `npx vitest run test/config.test.ts -u` writes it anew. */

const rows = Object.entries(settings) as Array<[string, Setting<unknown>]>;

/** `docs/configuration.md` */
export function settingsPage(): string {
  const lines = rows.map(([key, { help, secret, example, allowed, fallback }]) => {
    const cells = [
      `\`${key}\``,
      `${help}${secret ? ' *Secret.*' : ''}${example === undefined ? '' : ` Example: \`${example}\`.`}`,
      allowed,
      fallback === undefined ? '' : `\`${fallback}\``,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return [
    '# Settings',
    '',
    'Every setting is a key of the ConfigMap (`configmap.yml`) and an environment variable of the same name, which wins.',
    '`KEY_FILE` names a file that holds the value: the way for secrets. All values are text.',
    '',
    '| key | meaning | allowed | default |',
    '|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

/** `configmap.yml`: every setting with its default, those without one as a comment. */
export function configMapSample(): string {
  const blocks = rows.map(([key, { help, secret, example, allowed, fallback, sample }]) => {
    const value = sample ?? example ?? fallback;
    const set = !secret && (sample ?? fallback) !== undefined;
    const secretly = `${key} stands in no ConfigMap: environment variable ${key}, or ${key}_FILE.`;
    const line =
      secret && fallback === undefined ? `# ${secretly}` : `${set ? '' : '# '}${key}: ${quoted(value ?? '')}`;
    // A secret with a default is an endpoint that may carry a password.
    const text = secret && fallback !== undefined ? `${key}: ${quoted(fallback)}` : line;
    return [...wrapped(`${help} Allowed: ${allowed}.`), text].map((each) => `  ${each}`).join('\n');
  });
  return `# The configuration of a site: \`npm start\` reads this file, \`kubectl apply -f configmap.yml\` takes it as it is.
# Every key can also be given as an environment variable of the same name, which wins, or as KEY_FILE, the path of a
# file that holds the value. \`npx fogwhisk check\` shows what is in effect.
apiVersion: v1
kind: ConfigMap
metadata:
  name: mqtt-provider-configmap
data:
${blocks.join('\n\n')}
`;
}

/** YAML text, in the quotes that need no escapes. */
function quoted(text: string): string {
  return text.includes('"') && !text.includes("'") ? `'${text}'` : JSON.stringify(text);
}

/** Comment lines of at most 118 characters. */
function wrapped(text: string): string[] {
  const lines = ['#'];
  for (const word of text.split(' ')) {
    if (lines.at(-1)!.length + word.length + 1 > 116) lines.push('#');
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines;
}
