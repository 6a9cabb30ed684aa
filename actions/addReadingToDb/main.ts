import { connectionOf, write } from '../shared/influx.ts';
import { parametersOf } from '../shared/parameters.ts';
import { messagesOf, type Params, referenceOf } from '../shared/payload.ts';
import { readMessage, type Site } from '../shared/reading.ts';
import { sendReceipt } from '../shared/receipt.ts';
import { ActionError, type Refusal, type Result, resultOf } from '../shared/result.ts';

/** How many refusals the activation's record names; the receipt names all. */
const MAX_REFUSALS_SHOWN = 100;

/**
 * Stores a batch of sensor messages in InfluxDB and tells the provider about every one of them.
 * Succeeds only when InfluxDB has answered the write and the provider has taken the receipt.
 */
export async function main(params: Params): Promise<Result> {
  return resultOf(async () => {
    const messages = messagesOf(params);
    if (!messages) return { ignored: `type ${JSON.stringify(params.type)?.slice(0, 60) ?? 'absent'}` };
    const receipt = referenceOf(params, 'receipt');
    const parameters = await parametersOf(params);
    const connection = connectionOf(parameters);
    const site = siteOf(parameters);

    const readings = messages.map((message) => readMessage(message, site));
    const lines = readings.flatMap((reading, message) => reading.lines.map((text) => ({ message, text })));
    const refusedLines = await write(connection, lines);
    const reasons = new Map(refusedLines.map(({ message, reason }) => [message, reason]));

    const stored: string[] = [];
    const refused: Array<Refusal & { id: string }> = [];
    messages.forEach(({ id }, index) => {
      const reason = reasons.get(index);
      const refusal = readings[index]!.refusal ?? (reason && { code: 'INFLUX_REFUSED', message: reason });
      if (refusal) refused.push({ id, ...refusal });
      else stored.push(id);
    });
    if (receipt) {
      const { batchId } = params;
      await sendReceipt(receipt, refused.length === 0 ? { batchId, stored: 'all' } : { batchId, stored, refused });
    }
    return {
      stored: lines.length - refusedLines.length,
      messages: messages.length,
      refused: refused.length,
      ignoredFields: readings.reduce((sum, reading) => sum + reading.ignoredFields, 0),
      oddTimes: readings.filter((reading) => reading.oddTime).length,
      ...(refused.length > 0 && { refusals: refused.slice(0, MAX_REFUSALS_SHOWN) }),
    };
  });
}

/** @throws ActionError `PARAMETER_MISSING` or `PARAMETER_INVALID` */
function siteOf({ datacenter_id, site, datacenter_enforce: enforce = 'trust' }: Params): Site {
  const id = datacenter_id ?? site ?? '';
  const datacenterId = typeof id === 'number' ? String(id) : id;
  if (typeof datacenterId !== 'string')
    throw new ActionError('PARAMETER_INVALID', 'datacenter_id must be a text or a number.');
  if (enforce !== 'trust' && enforce !== 'tag' && enforce !== 'reject') {
    throw new ActionError('PARAMETER_INVALID', 'datacenter_enforce must be trust, tag or reject.');
  }
  if (enforce !== 'trust' && datacenterId === '') {
    throw new ActionError('PARAMETER_MISSING', `datacenter_id not given: datacenter_enforce ${enforce} needs it.`);
  }
  return { enforce, ...(datacenterId !== '' && { datacenterId }) };
}
