import { parametersOf } from '../shared/parameters.ts';
import type { Params } from '../shared/payload.ts';
import { settled } from '../shared/receipt.ts';
import { ActionError, type Result } from '../shared/result.ts';
import { type CleanUpReport, cleanUp, removeRemains } from '../shared/workdir/clean-up.ts';
import { nameOf } from '../shared/workdir/cycle.ts';
import { storeOf } from '../shared/workdir/parameters.ts';
import { deadScratch } from '../shared/workdir/scratch.ts';

/** How many archives of a store the activation's record names; the sums count all. */
const MAX_SHOWN = 500;
const DAY_MS = 86_400_000;

/**
 * Removes old working directories, store by store, as the alarm's instant has it:
 * `{scheduledFor, dryRun?, stores?: [ADDRESS…], lakes?: [NAME…]}`. A store that fails keeps none from being cleaned up.
 */
export async function main(params: Params): Promise<Result> {
  return settled(params, async () => {
    const { scheduledFor, dryRun = false, lakes } = params;
    const now = typeof scheduledFor === 'string' ? Date.parse(scheduledFor) : Number.NaN;
    if (Number.isNaN(now)) throw invalid('scheduledFor must be a time in ISO 8601, as an alarm sends it');
    if (typeof dryRun !== 'boolean') throw invalid('dryRun must be true or false');
    if (lakes !== undefined && !Array.isArray(lakes)) throw invalid('lakes must be a list of names');

    const parameters = await parametersOf(params);
    const { stores = [parameters.workdir_store] } = params;
    if (!Array.isArray(stores)) throw invalid('stores must be a list of addresses');
    const request = {
      retention: {
        days: numberOf(parameters, 'workdir_retention_days'),
        keep: numberOf(parameters, 'workdir_keep'),
      },
      now,
      isDryRun: dryRun,
      ...(lakes && { lakes: lakes.map((lake) => nameOf(lake, 'each of lakes')) }),
    };
    const reports: Array<CleanUpReport | Failure> = [];
    for (const address of stores) {
      reports.push(
        await storeOf(parameters, address)
          .then((store) => cleanUp({ store, ...request }))
          .catch(failureOf),
      );
    }
    const scratch = await removeRemains(await deadScratch(now - DAY_MS), dryRun);
    const result = { dryRun, stores: reports.map(shown), scratch };
    const failed = reports.filter((report) => 'error' in report);
    if (failed.length > 0)
      throw new ActionError('CLEANUP_INCOMPLETE', failed.map(({ error }) => error).join(' '), result);
    return { result };
  });
}

interface Failure {
  readonly code: string;
  readonly error: string;
}

/** @throws what is no failure of a store */
function failureOf(error: unknown): Failure {
  if (error instanceof ActionError) return { code: error.code, error: error.message };
  throw error;
}

function shown(report: CleanUpReport | Failure): Record<string, unknown> {
  if ('error' in report) return { ...report };
  const { removed, ...rest } = report;
  return { ...rest, removedCount: removed.length, removed: removed.slice(0, MAX_SHOWN) };
}

/** @throws ActionError `PARAMETER_INVALID` */
function numberOf(parameters: Params, name: string): number {
  const value = Number(parameters[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ActionError('PARAMETER_INVALID', `${name} must be a whole number of at least 1.`);
}

function invalid(problem: string): ActionError {
  return new ActionError('PAYLOAD_INVALID', `${problem}.`);
}
