import { pbkdf2Sync, randomBytes } from 'node:crypto';

/** As many rounds as `mosquitto_passwd` does. */
const ITERATIONS = 101;
const SALT_BYTES = 12;
const HASH_BYTES = 64;

/** A line of Mosquitto's password file, as `mosquitto_passwd` (2.0) writes it: PBKDF2 with SHA-512. */
export function mosquittoPasswordLine(user: string, password: string): string {
  const salt = randomBytes(SALT_BYTES);
  const hash = pbkdf2Sync(password, salt, ITERATIONS, HASH_BYTES, 'sha512');
  return `${user}:$7$${ITERATIONS}$${salt.toString('base64')}$${hash.toString('base64')}`;
}
